// A backend for Port's self-service actions in Express: verify, accept, work, report.
//
//   npm ci
//   PORT_CLIENT_ID=… PORT_CLIENT_SECRET=… node server.js 8000
const { createHmac, timingSafeEqual } = require("node:crypto");
const express = require("express");

const TOLERANCE_S = 300;
const { PORT_CLIENT_ID: clientId, PORT_CLIENT_SECRET: clientSecret } = process.env;
const api = `${(process.env.PORT_API_URL ?? "https://api.port.io").replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`;

function isSignedByPort(body, signature, timestamp, secret, now = Date.now() / 1000) {
  if (!/^\d+$/.test(timestamp ?? "") || Math.abs(now - Number(timestamp)) > TOLERANCE_S) return false;
  const digest = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${digest}`);
  const received = Buffer.from(signature ?? "", "latin1");
  return expected.length === received.length && timingSafeEqual(expected, received);
}

async function callPort(method, path, document, token) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(`${api}${path}`, { method, headers, body: JSON.stringify(document) });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

async function createVm(runId, vm) {
  const { accessToken } = await callPort("POST", "/auth/access_token", { clientId, clientSecret });
  const run = `/actions/runs/${runId}`;
  await callPort("POST", `${run}/logs`, { message: `creating ${vm.title} with ${vm.cpu} CPUs` }, accessToken);
  await callPort("PATCH", run, { status: "SUCCESS", summary: `${vm.title} is up` }, accessToken);
}

const app = express();
// express.raw and not express.json, because the signature covers the raw bytes.
app.post("/port/create-vm", express.raw({ type: "*/*" }), (req, res) => {
  const { "x-port-signature": signature, "x-port-timestamp": timestamp } = req.headers;
  if (!isSignedByPort(req.body, signature, timestamp, clientSecret)) {
    return res.status(401).json({ error: "this was not signed by Port" });
  }
  const { runId, vm } = JSON.parse(req.body);
  res.status(202).json({ accepted: runId });
  createVm(runId, vm).catch((problem) => console.error(`${runId} could not be reported: ${problem.message}`));
});
const server = app.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
