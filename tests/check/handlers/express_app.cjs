// A backend for Port in Express: `node express_app.cjs PORT DEFECT`; the defect `none` is a correct one.
// Express is the package of examples/express.
const { createRequire } = require("node:module");
const { join } = require("node:path");
const { Backend } = require("./common.cjs");

const [port, defect] = process.argv.slice(2);
const backend = new Backend(defect);
const express = createRequire(join(__dirname, "../../../examples/express/server.js"))("express");
const limit = defect === "size-limit" ? "50kb" : "10mb";

async function receive(req, res) {
  if (defect === "dies-unsigned") req.headers["x-port-signature"].trim();
  const reply = await backend.receive(Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0), req.headers);
  res.status(reply.status).json(reply.document);
  await reply.work?.();
}

// Express 5 catches what a handler rejects with; Express 4 does not, and the rejection ends the process.
const asInExpress4 = (req, res) => void receive(req, res);

const app = express();
const handler = defect === "dies-unsigned" ? asInExpress4 : receive;
for (const method of ["post", "put", "patch", "delete"]) app[method](["/", "/hook"], express.raw({ type: "*/*", limit }), handler);
app.use((problem, _req, res, _next) => {
  if (!res.headersSent) res.status(problem.status ?? 500).json({ error: problem.message });
});
const server = app.listen(Number(port), "127.0.0.1", () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
