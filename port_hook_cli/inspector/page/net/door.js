// @ts-check
// Moves the token from the URL to this tab's storage, and sends the token only to a server that already knows it.

/** The reason why the inspector rejected a call. The status is 0 if the inspector does not respond. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{ error?: string, hint?: string, line?: number, column?: number }} body
   */
  constructor(status, body) {
    super(body.error ?? `The inspector responded with ${status}.`);
    this.status = status;
    this.hint = body.hint ?? "";
    this.line = body.line ?? 0;
    this.column = body.column ?? 0;
  }
}

/**
 * The options of every request: no cookies of other programs on this host, and no redirects.
 * @type {RequestInit}
 */
export const OWN = { credentials: "omit", redirect: "error", cache: "no-store" };

const KEY = "port-hook-token";
const NONCE_BYTES = 16;
const token = takeToken();
/** @type {Promise<string> | null} */
let greeting = null;

// If the user opens the printed URL in this tab, only the fragment changes and the browser loads nothing.
window.addEventListener("hashchange", () => tokenInAddress() && window.location.reload());

/**
 * Return the token after the server has proved that it knows the token. Another program may have the port by now.
 * @returns {Promise<string>}
 */
export function trustedToken() {
  greeting ??= greet().catch((error) => {
    greeting = null;
    throw error;
  });
  return greeting;
}

/** After a lost connection, make the server prove that it knows the token before the next request. */
export function doubtServer() {
  greeting = null;
}

async function greet() {
  if (!token) {
    const hint = "Open the URL that port-hook printed last.";
    throw new ApiError(403, { error: "This page has no token.", hint });
  }
  const nonce = hex(crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
  const response = await fetch(`/api/hello?nonce=${nonce}`, OWN);
  const { proof = "" } = await response.json().catch(() => ({}));
  const written = new TextEncoder();
  const hash = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", written.encode(token), hash, false, ["sign"]);
  const expected = await crypto.subtle.sign("HMAC", key, written.encode(`port-hook hello ${nonce}`));
  if (proof === hex(new Uint8Array(expected))) return token;
  throw new ApiError(403, {
    error: "The server at this URL does not know this page's token.",
    hint: "Open the URL that port-hook printed last.",
  });
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function tokenInAddress() {
  return new URLSearchParams(window.location.hash.slice(1)).get("token");
}

/** Move the token from the URL to the session storage of this tab and port, where the page finds it after a reload. */
function takeToken() {
  const given = tokenInAddress();
  if (given) window.history.replaceState(null, "", window.location.pathname + window.location.search);
  try {
    if (given) window.sessionStorage.setItem(KEY, given);
    return window.sessionStorage.getItem(KEY);
  } catch {
    return given; // the browser has no storage
  }
}
