import assert from "node:assert/strict";
import { test } from "node:test";
import { RowCache, Spans } from "../../port_hook_cli/inspector/page/list/spans.js";

test("numbers are counted from the latest", () => {
  const spans = new Spans([[41, 39], [28, 28]]);
  assert.equal(spans.count, 4);
  assert.deepEqual([-1, 0, 2, 3, 4].map((index) => spans.at(index)), [undefined, 41, 39, 28, undefined]);
  assert.deepEqual([41, 39, 28, 30, 42].map((seq) => spans.indexOf(seq)), [0, 2, 3, -1, -1]);
});

test("newer numbers join the first span, and older ones change nothing", () => {
  const spans = new Spans([[41, 39]]).plus([40, 42, 45]);
  assert.deepEqual(spans.spans, [[45, 45], [42, 39]]);
  assert.equal(spans.latest, 45);
});

test("spans are split at a number, and newer numbers are listed oldest first", () => {
  const [known, newer] = new Spans([[45, 45], [42, 39], [7, 7]], false).split(40);
  assert.deepEqual([known.spans, known.isComplete, newer], [[[40, 39], [7, 7]], false, [41, 42, 45]]);
});

test("the cache drops the rows that were put in first", () => {
  const cache = new RowCache(2);
  cache.put([1, 2, 3].map((seq) => ({ seq, id: `c${seq}`, response: null, handler: null })));
  assert.deepEqual([1, 2, 3].map((seq) => cache.get(seq)?.id), [undefined, "c2", "c3"]);
});

test("an older state of a row doesn't replace a row with a response", () => {
  const cache = new RowCache();
  const row = (id, response) => ({ seq: 1, id, response, handler: null });
  const shown = [row("a", null), row("a", 200), row("a", null), row("b", null)].map((next) => {
    cache.put([next]);
    return cache.get(1).response;
  });
  assert.deepEqual(shown, [null, 200, 200, null]);
});
