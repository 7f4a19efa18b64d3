// Values as text. Everything that a sender wrote goes through `visible` before it is shown.

// Characters that move or hide text: controls, bidi marks and overrides, zero-width and tag characters, lone surrogates.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|\udb40[\udc00-\udfff]/g;

/** Return text with hidden characters as visible escapes (\u202e). Line breaks and tabs stay. */
export function visible(text) {
  return String(text ?? "").replace(HIDDEN, (found) =>
    [...Array(found.length).keys()].map((i) => "\\u" + found.charCodeAt(i).toString(16).padStart(4, "0")).join(""),
  );
}

/** The same on one line. */
export function oneLine(text) {
  return visible(text).replace(/[\n\t]/g, (found) => (found === "\n" ? "\\n" : "\\t"));
}

export const VERDICTS = {
  valid: { word: "valid", icon: "check", tone: "good", about: "The signature matches the raw bytes." },
  reencoded: { word: "re-encoded", icon: "swap", tone: "warn", about: "The signature matches another form of the same JSON." },
  stale: { word: "stale", icon: "clock", tone: "warn", about: "The signature matches, but its timestamp is outside the tolerance." },
  invalid: { word: "invalid", icon: "x", tone: "bad", about: "The signature does not match." },
  missing: { word: "missing", icon: "question", tone: "bad", about: "There is no signature." },
  malformed: { word: "malformed", icon: "alert", tone: "bad", about: "The signature cannot be read." },
  unchecked: { word: "unchecked", icon: "minus", tone: "dim", about: "The signature was not checked." },
};

export function verdictOf(status) {
  return VERDICTS[status] ?? { word: oneLine(status), icon: "question", tone: "dim", about: "" };
}

export function statusTone(status) {
  if (status === null || status === undefined) return "dim";
  return status < 300 ? "good" : status < 400 ? "warn" : "bad";
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

/** Seconds since the epoch: the time for today, the date and time for other days. */
export function time(seconds) {
  const at = new Date(seconds * 1000);
  const isToday = at.toDateString() === new Date().toDateString();
  return (isToday ? TIME : DAY).format(at);
}

export function fullTime(seconds) {
  const at = new Date(seconds * 1000);
  return `${FULL.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** Hours, minutes and seconds, whatever the day. */
export function clockTime(seconds) {
  return TIME.format(new Date(seconds * 1000));
}

export function isoTime(text) {
  const at = Date.parse(text ?? "");
  return Number.isNaN(at) ? "" : TIME.format(new Date(at));
}

export function ago(seconds) {
  const s = Math.max(0, Date.now() / 1000 - seconds);
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

export function duration(seconds) {
  const s = Math.abs(seconds);
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 120) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

export function latency(ms) {
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 100) return `${ms.toFixed(1)} ms`;
  return ms < 10000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / 1024 / 1024).toFixed(1)} MiB`;
}

export function number(count) {
  return count.toLocaleString("en-US");
}

/** What an invocation asks for, as a short name. */
export function nameOf(row) {
  if (row.name) return oneLine(row.name);
  if (row.kind === "change-log") return "change log";
  if (row.problem) return "not readable";
  if (row.kind === "unknown") return `${oneLine(row.method)} ${oneLine(row.target)}`.slice(0, 80);
  return oneLine(row.kind.replace("-", " "));
}

// After this, no handler responds: the listener was killed, or closed the connection (--drop).
const LONGEST_WAIT_S = 600;

/** Whether a row may still get a response. */
export function isPending(row) {
  return row.response === null && !row.handler && Date.now() / 1000 - row.received_at < LONGEST_WAIT_S;
}

// The status, or why there is none: a replay that goes straight to a handler gets no response if the handler fails.
export function responseText(row) {
  return row.response ?? (row.handler?.status === null ? handlerText(row.handler) : isPending(row) ? "pending" : "none");
}

/** How long a delivery took: "in 3.1 ms", or "after 12 s" if it was interrupted. */
export function took(delivery) {
  return `${delivery.fault === "interrupted" ? "after" : "in"} ${latency(delivery.latency_ms)}`;
}

export function handlerText(handler) {
  if (!handler) return "";
  return handler.status === null ? oneLine(handler.fault ?? "failed") : String(handler.status);
}

/** Text as a sentence: with a capital and an end. */
export function sentence(text) {
  const shown = visible(text);
  return shown.charAt(0).toUpperCase() + shown.slice(1) + (/[.!?]$/.test(shown) ? "" : ".");
}
