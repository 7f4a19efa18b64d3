// A backend for Port in Node without its HTTP server: verify, accept, work, report. One defect can be chosen.
// plain.mjs and express_app.cjs are the servers.
const { createHmac, timingSafeEqual } = require("node:crypto");

const TOLERANCE_S = 300;
const PAUSE_MS = 100;
const SHOWN = 80;
const RUN_ID = /^(r_[A-Za-z0-9]{16}|wfnr_[A-Za-z0-9]+)$/;

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
const digest = (key, parts, encoding) =>
  parts.reduce((hmac, part) => hmac.update(part), createHmac("sha256", key)).digest(encoding);
const documented = (body, timestamp, key) => `v1,${digest(key, [`${timestamp}.`, body], "base64")}`;

// The execution agent signs the JSON without the spaces that it sends. Text in quotes is kept.
const withoutSpaces = (body) =>
  Buffer.from(
    body.toString("latin1").replace(/("[^"\\]*(?:\\.[^"\\]*)*")|\s+/g, (_, text) => text ?? ""),
    "latin1",
  );
const agentForm = (body, timestamp, key) => documented(withoutSpaces(body), timestamp, key);

// The only form that a handler with this defect accepts.
const WRONG_FORMS = {
  "sha256-prefix": (body, _, key) => `sha256=${digest(key, [body], "hex")}`,
};

// Forms that a handler with this defect accepts in addition.
const MORE_FORMS = {
  "default-secret": (body, timestamp) => documented(body, timestamp, "undefined"),
};

function forms(defect) {
  if (WRONG_FORMS[defect]) return [WRONG_FORMS[defect]];
  return [documented, agentForm, ...(MORE_FORMS[defect] ? [MORE_FORMS[defect]] : [])];
}

function areEqual(expected, received) {
  const [one, other] = [Buffer.from(expected), Buffer.from(received, "latin1")];
  return one.length === other.length && timingSafeEqual(one, other);
}

const COMPARISONS = {
  // The length is compared, and the result of timingSafeEqual is forgotten.
  "shape-only": (expected, received) => {
    if (expected.length !== received.length) return false;
    timingSafeEqual(Buffer.from(expected), Buffer.from(received, "latin1"));
    return true;
  },
};

function isFresh(timestamp, now) {
  if (!/^\d+$/.test(timestamp)) return false;
  return Math.abs(now - Number(timestamp)) <= TOLERANCE_S;
}

function isSigned(body, signature, timestamp, key, { now, defect }) {
  if (signature === undefined || timestamp === undefined || !isFresh(timestamp, now)) return false;
  const equal = COMPARISONS[defect] ?? areEqual;
  return forms(defect).some((form) => equal(form(body, timestamp, key), signature));
}

const object = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : {});

// The run and its inputs, whichever template the body has; undefined if this backend cannot work with it.
function taskOf(body, header) {
  let document;
  try {
    document = JSON.parse(body.toString());
  } catch {
    return undefined;
  }
  const payload = object(object(document).payload);
  const action = object(payload.action);
  if (!String(action.identifier ?? "create_vm").startsWith("create_vm")) return undefined;
  const { context, nodeRunId, runId, vm } = object(document);
  const places = [object(context).nodeRunId, object(context).runId, nodeRunId, runId, header];
  const id = places.concat(Object.values(object(document))).find((value) => RUN_ID.test(value));
  if (id === undefined) return undefined;
  const synchronized = object(action.invocationMethod).synchronized === true;
  return { id, inputs: object(payload.properties ?? vm ?? document), synchronized };
}

class PortRun {
  constructor(id, { clientId, clientSecret, api }) {
    this.id = id;
    this.isNode = id.startsWith("wfnr_");
    this.credentials = { clientId, clientSecret };
    this.api = api;
    this.run = `/${this.isNode ? "workflows/nodes" : "actions"}/runs/${id}`;
  }

  async call(method, path, document) {
    const token = this.token && { authorization: `Bearer ${this.token}` };
    const headers = { "content-type": "application/json", ...token };
    const response = await fetch(`${this.api}${path}`, { method, headers, body: JSON.stringify(document) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async open() {
    this.token = (await this.call("POST", "/auth/access_token", this.credentials)).accessToken;
  }

  log(message) {
    const logs = this.isNode ? { logs: [{ level: "INFO", message }] } : { message };
    return this.call("POST", `${this.run}/logs`, logs);
  }

  createEntity({ title, cpu }) {
    const change = this.isNode ? "upsert=true" : `upsert=true&run_id=${this.id}`;
    const entity = { identifier: `vm-${this.id}`, title, properties: { cpu } };
    return this.call("POST", `/blueprints/vm/entities?${change}`, entity);
  }

  end(succeeded, summary) {
    const result = succeeded ? "SUCCESS" : "FAILED";
    if (this.isNode) return this.call("PATCH", this.run, { status: "COMPLETED", result, output: { summary } });
    return this.call("PATCH", this.run, { status: succeeded ? "SUCCESS" : "FAILURE", summary });
  }

  progress() {
    return this.call("PATCH", this.run, this.isNode ? { status: "IN_PROGRESS" } : { statusLabel: "Working" });
  }
}

class Failed extends Error {}

function vmOf({ title, cpu }) {
  if (typeof title !== "string" || !title.trim()) throw new Failed("the title must be text");
  if (typeof cpu !== "number" || cpu <= 0) throw new Failed("the number of CPUs must be positive");
  return { title: title.slice(0, SHOWN).toWellFormed(), cpu };
}

class Backend {
  constructor(defect, environ = process.env) {
    this.defect = defect;
    const { PORT_CLIENT_ID: clientId = "", PORT_CLIENT_SECRET: clientSecret = "", PORT_API_URL: url } = environ;
    if (!(clientId && clientSecret)) {
      console.error("set PORT_CLIENT_ID and PORT_CLIENT_SECRET");
      process.exit(2);
    }
    const api = `${(url ?? "https://api.port.io").replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`;
    this.credentials = { clientId, clientSecret, api };
    this.begun = new Map();
  }

  // The response to a request, and the work to do after it.
  async receive(body, headers, now = Date.now() / 1000) {
    const { "x-port-signature": signature, "x-port-timestamp": timestamp } = headers;
    if (!isSigned(body, signature, timestamp, this.credentials.clientSecret, { now, defect: this.defect })) {
      return { status: 401, document: { error: "this was not signed by Port" } };
    }
    return this.take(body, headers.run_id);
  }

  // The response to a request whose signature is valid.
  async take(body, runId) {
    if (this.defect === "not-json") JSON.parse(body.toString());
    const task = taskOf(body, runId);
    if (task === undefined) return { status: 422, document: { error: "this backend cannot use the request" } };
    return this.accept(task);
  }

  async accept(task) {
    if (this.begun.has(task.id) && this.defect !== "no-memory") return this.begun.get(task.id);
    const response = task.synchronized ? this.workNow(task) : { status: 202, document: { accepted: task.id } };
    this.begun.set(task.id, response);
    if (task.synchronized) return response;
    return { ...response, work: () => this.work(task) };
  }

  async workNow(task) {
    const run = new PortRun(task.id, this.credentials);
    await run.open();
    try {
      const vm = await this.create(run, task);
      return { status: 200, document: { ok: true, title: vm.title } };
    } catch (problem) {
      if (!(problem instanceof Failed)) throw problem;
      return { status: this.defect === "sync-status" ? 200 : 422, document: { ok: false, error: problem.message } };
    }
  }

  async create(run, { inputs, synchronized }) {
    const vm = vmOf(inputs);
    await run.log(`creating ${vm.title} with ${vm.cpu} CPUs`);
    if (this.defect === "after-work" && !synchronized) {
      await run.end(true, `${vm.title} is up`);
      await pause();
      await run.createEntity(vm).catch(() => undefined);
    } else {
      await run.createEntity(vm);
    }
    return vm;
  }

  async work(task) {
    try {
      const run = new PortRun(task.id, this.credentials);
      await run.open();
      await this.workAndReport(run, task);
    } catch (problem) {
      console.error(`${task.id} could not be reported: ${problem.message}`);
    }
  }

  async workAndReport(run, task) {
    let vm;
    try {
      vm = await this.create(run, task);
    } catch (problem) {
      if (!(problem instanceof Failed)) throw problem;
      await run.end(false, problem.message);
      return;
    }
    const summary = `${vm.title} is up`;
    if (this.defect === "node-result") await run.progress();
    else if (this.defect !== "after-work") await run.end(true, summary);
  }
}

module.exports = { Backend };
