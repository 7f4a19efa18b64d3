import assert from "node:assert/strict";
import { test } from "node:test";
import * as layout from "../../port_hook_cli/inspector/page/run/layout.js";

const at = (seconds) => new Date(1_800_000_000_000 + seconds * 1000).toISOString();
const NOTHING = { row: { run_id: "r_1", received_at: 1_800_000_000, handler: null, response: null } };
const node = (id, fields = {}) => ({ id, type: "WEBHOOK", title: id, status: null, next: [], ...fields });
const did = (from, to, result = "SUCCESS") =>
  ({ status: "COMPLETED", result, started_at: at(from), ended_at: at(to), run_id: `wfnr_${from}` });
const run = (fields = {}) => ({ id: "wfr_1", kind: "workflow", status: "COMPLETED", label: "FAILED", link: [],
  created_at: at(0), ended_at: at(10), ...fields });
const placed = (found, now = 0) => {
  const steps = layout.stepsOf(found, NOTHING);
  const axis = layout.axisOf(found.run, steps, now);
  return steps.map((step) => [step.id, step.state, layout.barOf(step, axis), layout.secondsOf(step, axis)]);
};

const NODES = [
  node("start", { type: "SELF_SERVE_TRIGGER", ...did(0, 0) }),
  node("ready", { type: "CONDITION", ...did(0, 4) }),
  node("no", { branch: "otherwise", depth: 1 }),
  node("yes", { branch: "Ready", depth: 1, ...did(4, 5) }),
  node("more", { depth: 1, ...did(5, 10, "FAILED") }),
  node("end"),
];

test("bars have a position and width in percent of the run, and the shortest bar is visible", () => {
  const found = placed({ run: run(), nodes: NODES, logs: [] });
  assert.deepEqual(found.map(([id, state]) => [id, state]), [
    ["start", "good"], ["ready", "good"], ["no", "skipped"], ["yes", "good"], ["more", "bad"], ["end", "skipped"]]);
  assert.deepEqual(found.map(([, , bar]) => bar), [
    { left: 0, width: 0.8 }, { left: 0, width: 40 }, null, { left: 40, width: 10 }, { left: 50, width: 50 }, null]);
  assert.deepEqual(found.map(([, , , seconds]) => seconds), [0, 4, null, 1, 5, null]);
});

test("a running step extends to now by Port's clock", () => {
  const nodes = [node("start", did(0, 2)),
    node("work", { status: "IN_PROGRESS", started_at: at(2), run_id: "wfnr_2" })];
  const live = run({ status: "IN_PROGRESS", label: null, ended_at: null });
  const now = Date.parse(at(8));
  assert.deepEqual(placed({ run: live, nodes, logs: [] }, now)[1], ["work", "live", { left: 25, width: 75 }, 6]);
  const ahead = { ...live, skew_s: 600 };
  assert.equal(placed({ run: ahead, nodes, logs: [] }, now + 600_000)[1][3], 6);
  // A clock that is behind by an unknown time makes no negative duration.
  assert.equal(placed({ run: live, nodes, logs: [] }, now - 3_600_000)[1][3], 0);
});

test("a node in progress ends with its run", () => {
  const nodes = [node("work", { status: "IN_PROGRESS", started_at: at(2), run_id: "wfnr_2" })];
  assert.deepEqual(placed({ run: run({ label: "CANCELLED" }), nodes, logs: [] })[0].slice(1, 2), ["warn"]);
});

test("an action's request is never before its run or after its end, whatever the clocks say", () => {
  const action = run({ kind: "action", status: "SUCCESS", label: null });
  for (const received of [-500, 3, 500]) {
    const row = { ...NOTHING.row, received_at: 1_800_000_000 + received, handler: { status: 202, latency_ms: 1000 } };
    const steps = layout.stepsOf({ run: action, nodes: [], logs: [{ at: at(5), text: "x" }] }, { row });
    assert.deepEqual(steps.map((step) => step.id), ["sent", "accepted", "log", "report"]);
    const base = Date.parse(at(0));
    const times = steps.flatMap((step) => [step.start - base, step.end - base]);
    assert.ok(times.every((time) => time >= 0 && time <= 10_000), String(times));
  }
});

test("failed steps are open, otherwise steps in progress, otherwise the capture's own node", () => {
  const steps = layout.stepsOf({ run: run(), nodes: NODES, logs: [] }, NOTHING);
  assert.deepEqual(layout.firstOpen(steps, "wfnr_0"), ["more"]);
  assert.deepEqual(layout.firstOpen(steps.filter((step) => step.id !== "more"), "wfnr_4"), ["yes"]);
});

test("ticks are round times", () => {
  const texts = (seconds) => layout.ticksOf({ start: 0, end: seconds * 1000 }).map((tick) => tick.text);
  assert.deepEqual(texts(2.4), ["0", "500 ms", "1 s", "1.5 s", "2 s"]);
  assert.deepEqual(texts(0.001), ["0", "0.2 ms", "0.4 ms", "0.6 ms", "0.8 ms", "1 ms"]);
  assert.deepEqual(texts(59), ["0", "10 s", "20 s", "30 s", "40 s", "50 s"]);
  assert.deepEqual(texts(170), ["0", "30 s", "1 min", "1 min 30 s", "2 min", "2 min 30 s"]);
  assert.deepEqual(texts(7000), ["0", "30 min", "1 h", "1 h 30 min"]);
  assert.deepEqual(texts(400_000), ["0", "1 d", "2 d", "3 d", "4 d"]);
  assert.deepEqual(layout.ticksOf({ start: 0, end: 1 }).map((tick) => Math.round(tick.left)), [0, 20, 40, 60, 80, 100]);
});
