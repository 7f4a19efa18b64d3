import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldText, parseRange } from "../../port_hook_cli/inspector/page/ui/times.js";

test("a field shows a time by this machine's clock, and returns it", () => {
  for (const seconds of [1_700_000_000, 1_780_000_000, 86_400]) {
    const text = fieldText(seconds);
    assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
    assert.deepEqual(parseRange(text, ""), { since: String(seconds), until: "" });
  }
  assert.deepEqual(["", undefined, "x", 1e300].map(fieldText), ["", "", "", ""]);
});

test("an invalid range has a problem", () => {
  const [early, late] = [1_700_000_000, 1_700_000_060].map(fieldText);
  assert.deepEqual(parseRange(early, late), { since: "1700000000", until: "1700000060" });
  assert.deepEqual(parseRange("", ""), { since: "", until: "" });
  assert.equal(parseRange(late, early).problem, "The end must be after the start.");
  assert.equal(parseRange(early, early).problem, "The end must be after the start.");
  assert.equal(parseRange("soon", "").problem, "Enter times after 1970.");
  assert.equal(parseRange("1900-01-01T00:00:00", "").problem, "Enter times after 1970.");
});
