import assert from "node:assert/strict";
import { test } from "node:test";
import { Matches } from "../../port_hook_cli/inspector/page/list/matches.js";

const row = (seq) => ({ seq, id: `c${seq}`, response: null, handler: null });
const all = (spans, complete = true) => ({ spans, complete, count: 3 });
const numbers = (list) => [...Array(list.spans?.count ?? 0).keys()].map((index) => list.at(index));

function loaded() {
  const list = new Matches();
  list.begin("?a=1", { captures: [row(3), row(2)], next: 1 });
  list.complete(all([[3, 1]]));
  return list;
}

test("the first rows of other filters are shown before all matches are known", () => {
  const list = new Matches();
  assert.equal(list.begin("?a=1", { captures: [row(3), row(2)], next: 1 }), true);
  assert.deepEqual([numbers(list), list.spans.isComplete], [[3, 2], false]);
  list.complete(all([[3, 1]]));
  assert.deepEqual(numbers(list), [3, 2, 1]);
});

test("the first rows of the same filters change nothing before all matches are known", () => {
  const list = loaded();
  assert.equal(list.begin("?a=1", { captures: [row(9)], next: null }), false);
  assert.deepEqual(numbers(list), [3, 2, 1]);
});

test("what arrives is shown at the top, and waits elsewhere", () => {
  const list = loaded();
  assert.equal(list.add({ added: [row(4)], changed: [] }), true);
  list.isAtTop = false;
  list.add({ added: [row(5)], changed: [] });
  assert.deepEqual([numbers(list), list.waiting], [[4, 3, 2, 1], [5]]);
  list.showWaiting();
  assert.deepEqual([numbers(list), list.waiting], [[5, 4, 3, 2, 1], []]);
});

test("a change is not an arrival", () => {
  const list = loaded();
  const before = list.spans;
  assert.equal(list.add({ added: [row(3)], changed: [row(2)] }), false);
  assert.equal(list.spans, before);
});

test("what arrives while the matches are counted is not lost", () => {
  const list = loaded();
  list.loading = 1;
  list.begin("?a=1", { captures: [row(3)], next: null });
  list.add({ added: [row(4)], changed: [] });
  list.complete(all([[3, 1]]));
  assert.deepEqual(numbers(list), [4, 3, 2, 1]);
});

test("captures that arrive while a scrolled list is counted wait, whether they are counted or not", () => {
  const list = loaded();
  list.loading = 1;
  list.isAtTop = false;
  list.begin("?a=1", { captures: [row(3)], next: null });
  list.add({ added: [row(4), row(5)], changed: [] });
  list.complete(all([[4, 1]]));
  assert.deepEqual([numbers(list), list.waiting], [[3, 2, 1], [4, 5]]);
});

test("a counted capture whose event comes later waits once", () => {
  const list = loaded();
  list.isAtTop = false;
  list.complete(all([[4, 1]]));
  assert.equal(list.add({ added: [row(4)], changed: [] }), false);
  assert.deepEqual(list.waiting, [4]);
});
