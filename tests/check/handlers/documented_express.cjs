// A backend with the verifier of Port's documentation for Express: `node documented_express.cjs PORT DEFECT`.
//
// The verifier signs the parsed body, written again by JSON.stringify. It compares no age, and takes for granted that
// both headers are there. What follows the verification is that of common.cjs, without a defect.
const { createHmac } = require("node:crypto");
const { createRequire } = require("node:module");
const { join } = require("node:path");
const { Backend } = require("./common.cjs");

const [port, defect] = process.argv.slice(2);
const backend = new Backend(defect);
const express = createRequire(join(__dirname, "../../../examples/express/server.js"))("express");

async function receive(req, res) {
  const signature = req.headers["x-port-signature"].split(",")[1];
  const timestamp = req.headers["x-port-timestamp"];
  const text = JSON.stringify(req.body);
  const expected = createHmac("sha256", process.env.PORT_CLIENT_SECRET).update(`${timestamp}.${text}`).digest("base64");
  if (signature !== expected) return res.status(401).json({ error: "Invalid signature" });
  const reply = await backend.take(Buffer.from(text), req.headers.run_id);
  res.status(reply.status).json(reply.document);
  await reply.work?.();
}

const app = express();
app.use(express.json());
app.post(["/", "/hook"], receive);
app.use((problem, _req, res, _next) => {
  if (!res.headersSent) res.status(problem.status ?? 500).json({ error: problem.message });
});
const server = app.listen(Number(port), "127.0.0.1", () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
