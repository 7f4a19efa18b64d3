import { createServer } from "node:http";

export const server = createServer((request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ service: "{{ cookiecutter.name }}", status: "ok" }));
});

if (process.argv[1] === import.meta.filename) server.listen(process.env.PORT ?? 8080);
