import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { server } from "./server.mjs";

test("the service responds with its name", async (t) => {
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const response = await fetch(`http://127.0.0.1:${server.address().port}/`);
  assert.deepEqual(await response.json(), { service: "{{ cookiecutter.name }}", status: "ok" });
});
