// @ts-check
// The steps of a run, and their places on its time axis. This module is pure.
//
// Times from Port are used unchanged. Times from this machine (captures, now) are corrected by the difference between
// the two clocks. A capture is never placed before its run started or after its run ended.

/** @import { Capture, FoundRun, LogEntry, PortRun, Row, RunNode, Session } from "../net/types.js" */

/** @typedef {"good" | "bad" | "warn" | "live" | "skipped" | "pending"} State */

/**
 * A step. Its times are in milliseconds by Port's clock. A step without an end is in progress.
 * @typedef {object} Step
 * @property {string} id
 * @property {string} title
 * @property {string} kind
 * @property {State} state
 * @property {string} word the state in words
 * @property {number} depth the number of branches that enclose the step
 * @property {string} branch the outlet that leads to the step
 * @property {number | null} start
 * @property {number | null} end
 * @property {RunNode | null} node
 * @property {LogEntry[]} logs
 */

/** @typedef {{ start: number, end: number }} Axis */
/**
 * The context of a run's steps. `onDone` is called after a report.
 * @typedef {{ run: PortRun, capture: Capture, session: Session | null, onDone: () => void,
 *   actions: { open: (id: string) => void } }} Around
 */

const ENDED = new Set(["SUCCESS", "FAILURE", "DECLINED", "COMPLETED"]);
/** @type {Record<string, State>} */
const STATES = {
  SUCCESS: "good", COMPLETED: "good", FAILURE: "bad", FAILED: "bad", DECLINED: "bad", CANCELLED: "warn",
  IN_PROGRESS: "live", WAITING_FOR_APPROVAL: "pending",
};
const SECOND = 1000;
// The steps of the axis: 15 s, 30 s, minutes, hours and days.
const CLOCK_STEPS = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400, 172_800, 604_800]
  .map((seconds) => seconds * SECOND);
const NARROWEST = 0.8; // percent

/** @param {PortRun} run */
export const hasEnded = (run) => ENDED.has(run.status) || Boolean(run.ended_at);

/** @param {string | null | undefined} word @returns {State} */
export const stateOf = (word) => STATES[word ?? ""] ?? "pending";

/** @param {string | null | undefined} text @returns {number | null} milliseconds since the epoch */
export function milliseconds(text) {
  const at = Date.parse(text ?? "");
  return Number.isNaN(at) ? null : at;
}

/** Return the current time by Port's clock. @param {PortRun} run @param {number} now */
const portTime = (run, now) => now - (run.skew_s ?? 0) * 1000;

/**
 * Return the steps of a run in order.
 * @param {FoundRun} found
 * @param {Capture} capture the request of the run, or of one of its nodes
 * @returns {Step[]}
 */
export function stepsOf({ run, nodes, logs }, capture) {
  return run.kind === "workflow" ? nodeSteps(run, nodes, logs) : actionSteps(run, logs, capture);
}

/** @param {PortRun} run @param {RunNode[]} nodes @param {LogEntry[]} logs @returns {Step[]} */
function nodeSteps(run, nodes, logs) {
  return nodes.map((node) => {
    const { state, word } = stateOfNode(run, node);
    const start = milliseconds(node.started_at);
    const isOver = state !== "live" && start !== null;
    return {
      id: node.id, title: node.title, kind: node.type ?? "", state, word, depth: node.depth ?? 0,
      branch: node.branch ?? "", start, end: isOver ? milliseconds(node.ended_at ?? run.ended_at) ?? start : null,
      node, logs: logs.filter((entry) => entry.node === node.id),
    };
  });
}

/** @param {PortRun} run @param {RunNode} node @returns {{ state: State, word: string }} */
function stateOfNode(run, node) {
  const isOver = hasEnded(run);
  if (!node.status) return isOver ? { state: "skipped", word: "not reached" } : { state: "pending", word: "not yet" };
  const word = (node.result ?? node.status).toLowerCase().replaceAll("_", " ");
  const state = stateOf(node.result ?? node.status);
  return { state: isOver && state === "live" ? "warn" : state, word };
}

/** @param {PortRun} run @param {LogEntry[]} logs @param {Capture} capture @returns {Step[]} */
function actionSteps(run, logs, { row }) {
  const created = milliseconds(run.created_at);
  const ended = milliseconds(run.ended_at);
  const clamp = (/** @type {number} */ at) => Math.min(Math.max(at, created ?? at), ended ?? Infinity);
  const received = clamp(portTime(run, row.received_at * 1000));
  const responded = clamp(received + (row.handler?.latency_ms ?? 0));
  const times = logs.map((entry) => milliseconds(entry.at)).filter((at) => at !== null);
  const isOver = hasEnded(run);
  const step = { kind: "", depth: 0, branch: "", node: null, logs: [] };
  /** @type {Step[]} */
  const steps = [
    { ...step, id: "sent", title: "Sent by Port", kind: "WEBHOOK", state: "good", word: "sent",
      start: created ?? received, end: received },
    { ...step, id: "accepted", ...accepted(row), start: received, end: responded },
  ];
  if (times.length || !isOver) {
    const word = `${logs.length} ${logs.length === 1 ? "entry" : "entries"}`;
    const [start, end] = times.length ? [Math.min(...times), Math.max(...times)] : [null, null];
    const state = start === null ? "pending" : "good";
    steps.push({ ...step, id: "log", title: "Log", kind: "LOG", logs, state, word, start, end });
  }
  const state = stateOf(run.status);
  const isWaiting = state === "pending";
  steps.push({ ...step, id: "report", kind: "REPORT", state,
    title: isOver ? "Reported" : isWaiting ? "Waiting for approval" : "Waiting for the report",
    word: run.status.toLowerCase().replaceAll("_", " "),
    start: isWaiting ? null : responded, end: isOver ? ended ?? responded : null });
  return steps;
}

/** @param {Row} row @returns {{ title: string, kind: string, state: State, word: string }} */
function accepted({ handler, response, manual }) {
  if (manual) return { title: "Responded by hand", kind: "", state: "warn", word: String(response) };
  const status = handler?.status ?? (handler ? null : response);
  const kind = "HANDLER";
  if (status === null) {
    return { title: "No response", kind, state: handler ? "bad" : "pending", word: handler?.fault ?? "no response" };
  }
  if (status < 300) return { title: "Accepted", kind, state: "good", word: String(status) };
  return { title: "Rejected", kind, state: "bad", word: String(status) };
}

/**
 * Return the axis from the first time of a run to its last time, or to now.
 * @param {PortRun} run
 * @param {Step[]} steps
 * @param {number} now milliseconds by this machine's clock
 * @returns {Axis}
 */
export function axisOf(run, steps, now) {
  const known = [run.created_at, run.ended_at].map(milliseconds);
  const times = [...known, ...steps.flatMap((step) => [step.start, step.end])].filter((at) => at !== null);
  if (!times.length) return { start: 0, end: 1 };
  const latest = Math.max(...times);
  const start = Math.min(...times);
  return { start, end: Math.max(start + 1, hasEnded(run) ? latest : Math.max(latest, portTime(run, now))) };
}

/**
 * Return the bar of a step in percent of the axis, or null for a step that did not start.
 * @param {Step} step
 * @param {Axis} axis
 */
export function barOf(step, { start, end }) {
  if (step.start === null) return null;
  const percent = (/** @type {number} */ at) => Math.min(100, Math.max(0, ((at - start) / (end - start)) * 100));
  const width = Math.max(NARROWEST, percent(step.end ?? end) - percent(step.start));
  return { left: Math.min(percent(step.start), 100 - NARROWEST), width: Math.min(width, 100) };
}

/** Return the duration of a step so far, in seconds. @param {Step} step @param {Axis} axis */
export function secondsOf(step, axis) {
  return step.start === null ? null : Math.max(0, (step.end ?? axis.end) - step.start) / 1000;
}

/** Return readable time steps, in milliseconds: 1, 2 or 5 times a power of ten, then steps of a clock. */
function roundTimes(/** @type {number} */ total) {
  const power = 10 ** Math.floor(Math.log10(total / 6));
  const byTens = [1, 2, 5, 10].map((each) => each * power);
  return [...byTens.filter((each) => each <= 10 * SECOND), ...CLOCK_STEPS];
}

/** Return at most seven round times, each with its position in percent. @param {Axis} axis */
export function ticksOf({ start, end }) {
  const total = end - start;
  const size = roundTimes(total).find((each) => total / each <= 6) ?? total;
  return [...Array(Math.floor(total / size) + 1).keys()]
    .map((index) => ({ text: tickText((index * size) / SECOND), left: (index * size * 100) / total }));
}

/** Return a time on the axis: "500 ms", "1.5 s", "2 min 30 s", "1 h 30 min". @param {number} seconds */
function tickText(seconds) {
  if (seconds === 0) return "0";
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  const units = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= Number(size));
  const [[big, name], next] = [units[first], units[first + 1]];
  const rest = next ? Math.round((seconds % Number(big)) / Number(next[0])) : 0;
  return `${Math.floor(seconds / Number(big))} ${name}${rest ? ` ${rest} ${next[1]}` : ""}`;
}

/**
 * Return the steps that are open at first: failed steps, or steps in progress, or the capture's own step.
 * @param {Step[]} steps
 * @param {string | null} current the ID of the capture's run
 */
export function firstOpen(steps, current) {
  const own = steps.find((step) => step.node?.run_id && step.node.run_id === current);
  const found = steps.findLast((step) => step.state === "bad") ?? steps.find((step) => step.state === "live") ?? own;
  return [...new Set([found?.id, steps.find((step) => step.kind === "LOG")?.id])].filter((id) => id !== undefined);
}
