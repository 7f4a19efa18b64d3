// A handler for Port's self-service actions in plain Node: verify the raw bytes and respond.
//
//   set -a; . ./.env; set +a    # PORT_CLIENT_SECRET
//   node examples/handler.mjs 8001
//
// Copy isSignedByPort into your own handler. It needs the raw body, because the signature covers the bytes that Port
// sent: JSON.stringify(JSON.parse(body)) can differ from them.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_S = 300;
const MAX_BODY_BYTES = 1_048_576;

export function isSignedByPort(body, signature, timestamp, secret, now = Date.now() / 1000) {
  if (!secret || !/^\d+$/.test(timestamp ?? "") || Math.abs(now - Number(timestamp)) > TOLERANCE_S) return false;
  const digest = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${digest}`);
  const received = Buffer.from(signature ?? "", "latin1");
  return expected.length === received.length && timingSafeEqual(expected, received);
}

const port = process.argv[2] ?? "8001";
if (["-h", "--help"].includes(port)) {
  console.log("usage: node handler.mjs [PORT]    (default: 8001; 0 chooses a free port)");
  process.exit();
}
if (!/^\d+$/.test(port) || Number(port) > 65535) fail(`${port} is not a port`);
const secret = process.env.PORT_CLIENT_SECRET;
if (!secret) fail("set PORT_CLIENT_SECRET, for instance: set -a; . ./.env; set +a");

function fail(message) {
  console.error(`handler.mjs: error: ${message}`);
  process.exit(2);
}

const server = createServer(async (request, response) => {
  const respond = (status, document) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(document));
  try {
    const body = await readBody(request);
    if (!body) return respond(413, { ok: false });
    const { "x-port-signature": signature, "x-port-timestamp": timestamp } = request.headers;
    if (!isSignedByPort(body, signature, timestamp, secret)) return respond(401, { ok: false });
    const inputs = readInputs(body);
    respond(inputs ? 200 : 422, { ok: Boolean(inputs), inputs });
  } catch {
    response.destroy(); // the client has disconnected
  }
});

async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return size <= MAX_BODY_BYTES ? Buffer.concat(chunks) : null;
}

function readInputs(body) {
  try {
    return JSON.parse(body).payload.properties;
  } catch {
    return null; // not an action in Port's default shape
  }
}

server.on("error", (problem) => fail(`port ${port}: ${problem.message}`));
server.listen(Number(port), "127.0.0.1", () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
