// @ts-check
// Converts values to text. All text from a sender goes through `visible` before it is shown.

/** @import { Delivery, Handled, Row } from "../net/types.js" */

// Characters that move or hide text, as in text/safe.py: controls, bidi marks and overrides, zero-width and tag
// characters, blank letters, variation selectors, and lone surrogates. The selectors of emoji stay where they choose an
// emoji.
const UNSEEN =
  "0-8 b-1f 7f-9f ad 34f 61c 115f-1160 17b4-17b5 180b-180f 200b-200f 2028-202e 2060-206f 2800 3164 fe00-fe0d feff " +
  "ffa0 fff0-fffb 1bca0-1bca3 1d173-1d17a e0000-e0fff d800-dfff";
const AFTER_EMOJI = "(?<=\\p{Extended_Pictographic}|[0-9#*](?=.\\u20e3))";
const HIDDEN = new RegExp(
  `[${UNSEEN.replace(/\w+/g, "\\u{$&}").replaceAll(" ", "")}]|(?!${AFTER_EMOJI})[\\ufe0e\\ufe0f]`, "gu");

/**
 * Return text with hidden characters as visible escapes (\u202e). Line breaks and tabs stay.
 * @param {unknown} text
 */
export function visible(text) {
  return String(text ?? "").replace(HIDDEN, (found) =>
    [...Array(found.length).keys()].map((i) => "\\u" + found.charCodeAt(i).toString(16).padStart(4, "0")).join(""));
}

/**
 * Return the same text on one line.
 * @param {unknown} text
 */
export function oneLine(text) {
  return visible(text).replace(/[\n\t]/g, (found) => (found === "\n" ? "\\n" : "\\t"));
}

/** @typedef {{ word: string, icon: string, tone: string, about: string }} Look How a verdict looks. */

/** @type {Record<string, Look>} */
export const VERDICTS = {
  valid: { word: "valid", icon: "check", tone: "good", about: "The signature matches the raw body." },
  reencoded: {
    word: "re-encoded", icon: "swap", tone: "warn", about: "The signature matches another encoding of the same JSON.",
  },
  stale: {
    word: "stale", icon: "clock", tone: "warn",
    about: "The signature matches, but its timestamp is outside the tolerance.",
  },
  invalid: { word: "invalid", icon: "x", tone: "bad", about: "The signature does not match." },
  missing: { word: "missing", icon: "question", tone: "bad", about: "The signature or the timestamp is missing." },
  malformed: { word: "malformed", icon: "alert", tone: "bad", about: "The signature or the timestamp is malformed." },
  unchecked: { word: "unchecked", icon: "minus", tone: "dim", about: "The signature was not checked." },
};

/** @param {string} status */
export function verdictOf(status) {
  return VERDICTS[status] ?? { word: oneLine(status), icon: "question", tone: "dim", about: "" };
}

/** @param {number | null | undefined} status */
export function statusTone(status) {
  if (status === null || status === undefined) return "dim";
  return status < 300 ? "good" : status < 400 ? "warn" : "bad";
}

/** @typedef {{ status: number | null, fault?: string | null } | null | undefined} Responded Null: not yet. */

/**
 * Return the tone of a response. A missing response is bad.
 * @param {Responded} answered
 */
export function toneOf(answered) {
  return answered?.status === null ? "bad" : statusTone(answered?.status);
}

/** @type {Intl.DateTimeFormatOptions} */
const MINUTES = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const TIME = new Intl.DateTimeFormat(undefined, { ...MINUTES, second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { ...MINUTES, month: "short", day: "numeric" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

/**
 * Return seconds since the epoch as text: only the time for today, and the date and time for other days.
 * @param {number} seconds
 */
export function time(seconds) {
  const at = new Date(seconds * 1000);
  const isToday = at.toDateString() === new Date().toDateString();
  return (isToday ? TIME : DAY).format(at);
}

/** @param {number} seconds */
export function fullTime(seconds) {
  const at = new Date(seconds * 1000);
  return `${FULL.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/**
 * Return hours, minutes and seconds, whatever the day.
 * @param {number} seconds
 */
export function clockTime(seconds) {
  return TIME.format(new Date(seconds * 1000));
}

/** @param {string | null | undefined} text */
export function isoTime(text) {
  const at = Date.parse(text ?? "");
  return Number.isNaN(at) ? "" : TIME.format(new Date(at));
}

/** @param {number} seconds */
export function ago(seconds) {
  const s = Math.max(0, Date.now() / 1000 - seconds);
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

/** @param {number} seconds */
export function duration(seconds) {
  const s = Math.abs(seconds);
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 120) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

/**
 * Return a duration as text, in milliseconds below one second.
 * @param {number} ms
 */
export function latency(ms) {
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 99.95) return `${ms.toFixed(1)} ms`;
  return ms < 999.5 ? `${Math.round(ms)} ms` : duration(Math.max(1, ms / 1000));
}

/** @param {number} count */
export function bytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / 1024 / 1024).toFixed(1)} MiB`;
}

/** @param {number} count */
export function number(count) {
  return count.toLocaleString("en-US");
}

/**
 * Return the short name of an invocation.
 * @param {Row} row
 */
export function nameOf(row) {
  if (row.name) return oneLine(row.name);
  if (row.kind === "change-log") return "change log";
  if (row.problem) return "not readable";
  if (row.kind === "unknown") return `${oneLine(row.method)} ${oneLine(row.target)}`.slice(0, 80);
  return oneLine(row.kind.replace("-", " "));
}

// After this time, no handler responds: the listener was killed, or closed the connection (--respond drop).
const LONGEST_WAIT_S = 600;

/**
 * Return whether a row may still get a response.
 * @param {Row} row
 */
export function isPending(row) {
  return row.response === null && !row.handler && Date.now() / 1000 - row.received_at < LONGEST_WAIT_S;
}

/**
 * Return the status, or why it is missing. A replay directly to a handler has no response if the handler fails.
 * @param {Row} row
 */
export function responseText(row) {
  if (row.response !== null) return row.response;
  return row.handler?.status === null ? handlerText(row.handler) : isPending(row) ? "pending" : "none";
}

/**
 * Return how long a delivery took: "in 3.1 ms", or "after 12 s" if it was interrupted.
 * @param {Handled | Delivery} delivery
 */
export function took(delivery) {
  return `${delivery.fault === "interrupted" ? "after" : "in"} ${latency(delivery.latency_ms)}`;
}

/** @param {Responded} handler */
export function handlerText(handler) {
  if (!handler) return "";
  return handler.status === null ? oneLine(handler.fault ?? "failed") : String(handler.status);
}

/**
 * Return text as a sentence, with a capital letter and a period.
 * @param {string} text
 */
export function sentence(text) {
  const shown = visible(text);
  return shown.charAt(0).toUpperCase() + shown.slice(1) + (/[.!?]$/.test(shown) ? "" : ".");
}
