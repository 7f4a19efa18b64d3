// A backend for Port in plain Node: `node plain.mjs PORT DEFECT`; the defect `none` is a correct one.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { Backend } = createRequire(import.meta.url)("./common.cjs");

const [port, defect] = process.argv.slice(2);
const backend = new Backend(defect);

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

// Node's own names are lower-case. `rawHeaders` has them as they were sent.
function headersOf(request) {
  if (defect !== "header-case") return request.headers;
  const { rawHeaders } = request;
  return Object.fromEntries(rawHeaders.flatMap((name, i) => (i % 2 ? [] : [[name, rawHeaders[i + 1]]])));
}

function respond(response, { status, document }) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(document));
}

async function receive(request, response) {
  if (!["/", "/hook"].includes(request.url)) return respond(response, { status: 404, document: {} });
  const body = await bodyOf(request);
  if (defect === "dies-of-signature") request.headers["x-port-signature"]?.split(",")[1].trim();
  const reply = await backend.receive(body, headersOf(request));
  respond(response, reply);
  await reply.work?.();
}

async function receiveSafely(request, response) {
  try {
    await receive(request, response);
  } catch (problem) {
    if (defect === "dies-of-signature" && request.complete) throw problem;
    if (request.destroyed && !request.complete) return; // the client has gone
    if (!response.headersSent) respond(response, { status: 500, document: { error: problem.message } });
  }
}

// A rejection that nothing catches ends the process.
const server = createServer(defect === "cut-off" ? receive : receiveSafely);
server.listen(Number(port), "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
