// A handler for Port's self-service actions in Node, without packages: verify, accept, work, report.
//
//   PORT_CLIENT_ID=… PORT_CLIENT_SECRET=… node server.mjs 8000
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_S = 300;
const REMEMBERED_RUNS = 1000;
const MAX_BODY_BYTES = 1_048_576;
const { PORT_CLIENT_ID: clientId, PORT_CLIENT_SECRET: clientSecret } = process.env;
const api = `${(process.env.PORT_API_URL ?? "https://api.port.io").replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`;
if (!clientSecret) {
  console.error("error: set PORT_CLIENT_SECRET");
  process.exit(2);
}

function isSignedByPort(body, signature, timestamp, secret, now = Date.now() / 1000) {
  if (!secret || !/^\d+$/.test(timestamp ?? "") || Math.abs(now - Number(timestamp)) > TOLERANCE_S) return false;
  const digest = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${digest}`);
  const received = Buffer.from(signature ?? "", "latin1");
  return expected.length === received.length && timingSafeEqual(expected, received);
}

// A run can be delivered twice, but its work is done once. This is the memory of one process. A real handler inserts the
// run id into a database, under a unique key, which holds after a restart and for several processes.
const deliveries = new Set();
function isFirstDelivery(runId) {
  if (deliveries.has(runId)) return false;
  deliveries.add(runId);
  if (deliveries.size > REMEMBERED_RUNS) deliveries.delete(deliveries.values().next().value);
  return true;
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
  let report;
  try {
    checkInputs(vm);
    await callPort("POST", `${run}/logs`, { message: `creating ${vm.title} with ${vm.cpu} CPUs` }, accessToken);
    report = { status: "SUCCESS", summary: `${vm.title} is up` };
  } catch (problem) {
    // Without a report, the run would stay in progress.
    report = { status: "FAILURE", summary: `The VM was not created: ${problem.message}` };
  }
  await callPort("PATCH", run, report, accessToken);
}

function checkInputs({ title, cpu }) {
  if (typeof title === "string" && title && Number.isInteger(cpu)) return;
  throw new Error("it needs a title and a whole number of CPUs");
}

function readInvocation(body) {
  try {
    const { runId, vm } = JSON.parse(body);
    return typeof runId === "string" && vm !== null && typeof vm === "object" ? { runId, vm } : null;
  } catch {
    return null;
  }
}

// The raw bytes and not parsed JSON, because the signature covers the raw bytes.
async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return size <= MAX_BODY_BYTES ? Buffer.concat(chunks) : null;
}

async function accept(request, respond) {
  if (request.url !== "/port/create-vm") return respond(404, { error: "unknown path" });
  if (request.method !== "POST") return respond(405, { error: "only POST is allowed" });
  const body = await readBody(request);
  if (!body) return respond(413, { error: "the body is too large" });
  const { "x-port-signature": signature, "x-port-timestamp": timestamp } = request.headers;
  if (!isSignedByPort(body, signature, timestamp, clientSecret)) {
    return respond(401, { error: "this was not signed by Port" });
  }
  const invocation = readInvocation(body);
  if (!invocation) return respond(422, { error: "the body does not match the template in create_vm.yaml" });
  const { runId, vm } = invocation;
  respond(202, { accepted: runId });
  if (!isFirstDelivery(runId)) return;
  createVm(runId, vm).catch((problem) => console.error(`${runId} could not be reported: ${problem.message}`));
}

const server = createServer((request, response) => {
  const respond = (status, document) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(document));
  accept(request, respond).catch(() => response.destroy()); // the client has disconnected
});
server.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
