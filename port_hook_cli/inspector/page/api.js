// Calls of the inspector's API (docs/reference/inspector-api.md).

export class ApiError extends Error {
  constructor(status, body) {
    super(body.error ?? `The inspector responded ${status}.`);
    this.status = status;
    this.hint = body.hint ?? "";
    this.line = body.line ?? 0;
    this.column = body.column ?? 0;
  }
}

async function read(response) {
  if (response.ok) return response.json();
  throw new ApiError(response.status, await response.json().catch(() => ({})));
}

function unreachable() {
  return new ApiError(0, { error: "The inspector does not respond.", hint: "Is port-hook still running?" });
}

export async function get(path, parameters = {}, signal) {
  try {
    return await read(await fetch(path + query(parameters), { signal }));
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
    throw unreachable();
  }
}

export async function post(path, body) {
  const headers = { "content-type": "application/json", "x-port-hook": "1" };
  try {
    return await read(await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }));
  } catch (error) {
    throw error instanceof ApiError ? error : unreachable();
  }
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
  const source = new EventSource("/api/events" + query({ ...filters, position }));
  source.onopen = () => onState("live");
  source.onerror = () => {
    source.close();
    onState("waiting");
  };
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data), Number(event.lastEventId)));
  }
  return () => source.close();
}
