import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../port_hook_cli/inspector/page/ui/format.js";

test("characters that hide or move text are escapes", () => {
  assert.equal(format.visible("a\u202eb\u0000c"), "a\\u202eb\\u0000c");
  assert.equal(format.visible("lone \ud800."), "lone \\ud800.");
  assert.equal(format.visible("pair \u{1f600}\n"), "pair \u{1f600}\n");
  assert.equal(format.oneLine("a\n\tb"), "a\\n\\tb");
});

test("numbers have a unit that suits them", () => {
  assert.deepEqual([0.1234, 12.34, 250].map(format.latency), ["0.12 ms", "12.3 ms", "250 ms"]);
  assert.deepEqual([0.5, 90, 3600].map(format.duration), ["500 ms", "90 s", "60 min"]);
  assert.deepEqual([1023, 2048, 3 * 1024 * 1024].map(format.bytes), ["1023 B", "2.0 KiB", "3.0 MiB"]);
});
