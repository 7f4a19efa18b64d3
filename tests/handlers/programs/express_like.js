// An Express-like backend without Express: a raw body is kept for the signature, as `express.raw` keeps it.
// It serializes nothing: the signature is over the bytes that arrived. `node express_like.js` prints its URL.
const { createHmac, timingSafeEqual } = require("node:crypto");
const { createServer } = require("node:http");

const secret = process.env.PORT_CLIENT_SECRET;

function isSigned(raw, timestamp, signature) {
  const digest = createHmac("sha256", secret).update(`${timestamp}.`).update(raw).digest();
  const given = Buffer.from(String(signature).replace(/^v1,/, ""), "base64");
  return given.length === digest.length && timingSafeEqual(given, digest);
}

function respond(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const raw = Buffer.concat(chunks);
    const timestamp = request.headers["x-port-timestamp"];
    if (!isSigned(raw, timestamp, request.headers["x-port-signature"])) {
      return respond(response, 401, { error: "the signature is wrong" });
    }
    const body = JSON.parse(raw);
    const isStable = JSON.stringify(body) === raw.toString();
    return respond(response, isStable ? 200 : 422, { title: body.payload.properties.title, isStable });
  });
}).listen(0, "127.0.0.1", function () {
  console.log(`http://127.0.0.1:${this.address().port}`);
});
