// @ts-check
// Calls the inspector's API (docs/reference/inspector-api.md).
import { ApiError, OWN, doubtServer, trustedToken } from "./door.js";

export { ApiError };

/** @typedef {Record<string, unknown>} Parameters One query parameter for each value. Empty values are left out. */

/** @param {Response} response */
async function read(response) {
  if (response.ok) return response.json();
  throw new ApiError(response.status, await response.json().catch(() => ({})));
}

/**
 * Fetch a path with the token. `use` reads the response. Throws ApiError, or an AbortError.
 * @param {string} path
 * @param {RequestInit} options
 * @param {(response: Response) => any} use
 * @returns {Promise<any>}
 */
async function call(path, options, use) {
  try {
    const headers = { ...options.headers, authorization: `Bearer ${await trustedToken()}` };
    return await use(await fetch(path, { ...OWN, ...options, headers }));
  } catch (error) {
    if (error instanceof ApiError || isAbort(error)) throw error;
    doubtServer();
    throw new ApiError(0, { error: "The inspector does not respond.", hint: "Is port-hook still running?" });
  }
}

/**
 * Return whether an error only means that the response is no longer needed.
 * @param {unknown} error
 */
function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/**
 * Return the JSON that a GET of a path returns.
 * @param {string} path
 * @param {Parameters} [parameters]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function get(path, parameters = {}, signal) {
  return call(path + query(parameters), { signal }, read);
}

/**
 * Return the raw bytes of a body.
 * @param {string} path
 * @param {Parameters} parameters
 * @returns {Promise<Blob>}
 */
export function getBytes(path, parameters) {
  return call(path + query(parameters), {}, (response) => (response.ok ? response.blob() : read(response)));
}

const POSTED = { "content-type": "application/json", "x-port-hook": "1" };

/**
 * Post a document, and return the JSON in the response.
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function post(path, body, signal) {
  return call(path, { method: "POST", headers: POSTED, body: JSON.stringify(body), signal }, read);
}

/**
 * Post a document, and call `onRecord` with each JSON record in the response as soon as its line arrives.
 * @param {string} path
 * @param {object} body
 * @param {(record: any) => void} onRecord
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function postLines(path, body, onRecord, signal) {
  const options = { method: "POST", headers: POSTED, body: JSON.stringify(body), signal };
  return call(path, options, (response) =>
    response.ok ? readParts(response.body, "\n", (line) => onRecord(JSON.parse(line))) : read(response));
}

/**
 * Return parameters as the query of a URL, starting with "?" unless it is empty.
 * @param {Parameters} parameters
 */
export function query(parameters) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") found.append(name, String(each));
    }
  }
  const text = found.toString();
  return text ? `?${text}` : "";
}

/**
 * Return the URL of a capture, or of a part of the capture.
 * @param {string} id
 * @param {string} [rest]
 */
export const captureUrl = (id, rest = "") => `/api/captures/${encodeURIComponent(id)}${rest}`;

/**
 * Follow the events after a list's position until the returned function is called, or until they end ("waiting").
 * @param {Parameters} filters
 * @param {string} position
 * @param {(name: string, data: any, id: number) => void} onEvent
 * @param {(state: "live" | "waiting") => void} onState
 */
export function follow(filters, position, onEvent, onState) {
  const leaving = new AbortController();
  const ended = () => {
    if (leaving.signal.aborted) return;
    doubtServer();
    onState("waiting");
  };
  /** @param {string} name @param {string} data @param {string} id */
  const handle = (name, data, id) => {
    if (!leaving.signal.aborted) onEvent(name, JSON.parse(data), Number(id));
  };
  const options = { signal: leaving.signal, headers: { accept: "text/event-stream" } };
  call("/api/events" + query({ ...filters, position }), options, (response) => {
    if (!response.ok) return read(response);
    onState("live");
    return readEvents(response.body, handle);
  }).then(ended, ended);
  return () => leaving.abort();
}

/**
 * Read server-sent events until they end. EventSource cannot send the header that contains the token.
 * @param {Response["body"]} body
 * @param {(name: string, data: string, id: string) => void} handle
 */
function readEvents(body, handle) {
  return readParts(body, "\n\n", (event) => {
    const lines = event.split("\n").map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 2)]);
    const fields = Object.fromEntries(lines);
    if (fields.event) handle(fields.event, fields.data, fields.id);
  });
}

/**
 * Call `use` with each part of a text that ends with `end`, as soon as the part arrives.
 * @param {Response["body"]} body
 * @param {string} end
 * @param {(part: string) => void} use
 */
async function readParts(body, end, use) {
  if (!body) return;
  const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (text + value).split(end);
    text = parts.pop() ?? "";
    parts.forEach(use);
  }
}
