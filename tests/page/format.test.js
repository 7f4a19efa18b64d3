import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../port_hook_cli/inspector/page/ui/format.js";

test("characters that hide or move text are escapes", () => {
  assert.equal(format.visible("a\u202eb\u0000c"), "a\\u202eb\\u0000c");
  assert.equal(format.visible("lone \ud800."), "lone \\ud800.");
  assert.equal(format.visible("pair \u{1f600}\n"), "pair \u{1f600}\n");
  assert.equal(format.oneLine("a\n\tb"), "a\\n\\tb");
});

// Each end of the ranges, as in text/safe.py.
const HIDDEN = [0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180f, 0x200b, 0x200f, 0x2028, 0x202e,
  0x2060, 0x2061, 0x2064, 0x206f, 0x2800, 0x3164, 0xfe00, 0xfe0d, 0xfe0e, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0xfffb,
  0x1bca0, 0x1d173, 0xe0001, 0xe0041, 0xe0100, 0xe01ef];

for (const code of HIDDEN) {
  test(`U+${code.toString(16)} is an escape`, () => {
    const units = [...Array(code > 0xffff ? 2 : 1).keys()].map((i) => String.fromCodePoint(code).charCodeAt(i));
    const escaped = units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
    assert.equal(format.visible(`a${String.fromCodePoint(code)}b`), `a${escaped}b`);
  });
}

test("a selector that chooses the form of an emoji stays, and letters of other scripts do", () => {
  for (const text of ["\u2764\ufe0f", "\u26a0\ufe0e", "1\ufe0f\u20e3", "שלום مرحبا 東京 ก็"]) {
    assert.equal(format.visible(text), text);
  }
  assert.equal(format.visible("1\ufe0f"), "1\\ufe0f");
});

test("numbers have a suitable unit", () => {
  assert.deepEqual([0.1234, 12.34, 250].map(format.latency), ["0.12 ms", "12.3 ms", "250 ms"]);
  assert.deepEqual([99.96, 999.4, 999.6, 2502, 12_345, 240_000].map(format.latency),
    ["100 ms", "999 ms", "1.0 s", "2.5 s", "12 s", "4 min"]);
  assert.deepEqual([0.5, 90, 3600].map(format.duration), ["500 ms", "90 s", "60 min"]);
  assert.deepEqual([1023, 2048, 3 * 1024 * 1024].map(format.bytes), ["1023 B", "2.0 KiB", "3.0 MiB"]);
});
