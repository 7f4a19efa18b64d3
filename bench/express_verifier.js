// The Express verifier from Port's documentation: it serializes the body again, compares, and saves nothing.
const crypto = require("crypto");
const express = require("express");

const app = express();
app.use(express.json());
app.post("/", (req, res) => {
  const signed = crypto
    .createHmac("sha256", process.env.PORT_CLIENT_SECRET)
    .update(`${req.headers["x-port-timestamp"]}.${JSON.stringify(req.body)}`)
    .digest("base64");
  if (signed !== req.headers["x-port-signature"].split(",")[1]) return res.status(401).send("Unauthorized");
  res.json({ ok: true });
});
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
