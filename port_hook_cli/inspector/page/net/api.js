// Calls of the inspector's API (docs/reference/inspector-api.md).
import { ApiError, OWN, doubtServer, trustedToken } from "./door.js";

export { ApiError };

async function read(response) {
  if (response.ok) return response.json();
  throw new ApiError(response.status, await response.json().catch(() => ({})));
}

/** Fetch with the token. `use` reads the response. */
async function call(path, options, use) {
  try {
    const headers = { ...options.headers, authorization: `Bearer ${await trustedToken()}` };
    return await use(await fetch(path, { ...OWN, ...options, headers }));
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
    doubtServer();
    throw new ApiError(0, { error: "The inspector does not respond.", hint: "Is port-hook still running?" });
  }
}

export function get(path, parameters = {}, signal) {
  return call(path + query(parameters), { signal }, read);
}

/** The raw bytes of a body, as a Blob. */
export function getBytes(path, parameters) {
  return call(path + query(parameters), {}, (response) => (response.ok ? response.blob() : read(response)));
}

export function post(path, body) {
  const headers = { "content-type": "application/json", "x-port-hook": "1" };
  return call(path, { method: "POST", headers, body: JSON.stringify(body) }, read);
}

/** Post, and call `onRecord` with each JSON record of the response as soon as its line arrives. */
export function postLines(path, body, onRecord, signal) {
  const headers = { "content-type": "application/json", "x-port-hook": "1" };
  return call(path, { method: "POST", headers, body: JSON.stringify(body), signal }, (response) =>
    response.ok ? readParts(response.body, "\n", (line) => onRecord(JSON.parse(line))) : read(response));
}

export function query(parameters) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") found.append(name, each);
    }
  }
  const text = found.toString();
  return text ? `?${text}` : "";
}

export const captureUrl = (id, rest = "") => `/api/captures/${encodeURIComponent(id)}${rest}`;

/** Follow the events after a list's position until the returned function is called or they end ("waiting"); handlers by event name. */
export function follow(filters, position, handlers, onState) {
  const leaving = new AbortController();
  const ended = () => {
    if (leaving.signal.aborted) return;
    doubtServer();
    onState("waiting");
  };
  const handle = (name, data, id) => {
    if (!leaving.signal.aborted) handlers[name]?.(JSON.parse(data), Number(id));
  };
  const options = { signal: leaving.signal, headers: { accept: "text/event-stream" } };
  call("/api/events" + query({ ...filters, position }), options, (response) => {
    if (!response.ok) return read(response);
    onState("live");
    return readEvents(response.body, handle);
  }).then(ended, ended);
  return () => leaving.abort();
}

/** Read server-sent events to their end. EventSource cannot send the header with the token. */
function readEvents(body, handle) {
  return readParts(body, "\n\n", (event) => {
    const fields = Object.fromEntries(event.split("\n").map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 2)]));
    if (fields.event) handle(fields.event, fields.data, fields.id);
  });
}

/** Call `use` with each part of a text that ends with `end`, as soon as the part arrives. */
async function readParts(body, end, use) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (text + value).split(end);
    text = parts.pop();
    parts.forEach(use);
  }
}
