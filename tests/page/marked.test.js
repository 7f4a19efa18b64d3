import assert from "node:assert/strict";
import { test } from "node:test";
import { splitHits } from "../../port_hook_cli/inspector/page/ui/marked.js";

test("text is split at its matches in any case", () => {
  assert.deepEqual(splitHits("a VM and a vm", "vm"), ["a ", "VM", " and a ", "vm", ""]);
  assert.deepEqual(splitHits("vm", ""), ["vm"]);
  assert.deepEqual(splitHits("", "vm"), [""]);
});

test("the search text is not a pattern", () => {
  assert.deepEqual(splitHits("a.b*c [x] \\d", ".b*"), ["a", ".b*", "c [x] \\d"]);
  for (const text of ["\\d", "(", "[a-", "$^", "a|b", "{1}", "/-", "a\nb", "é\u2764", "_ -"]) {
    assert.deepEqual(splitHits(text, text), ["", text, ""]);
  }
});

test("the parts make up the text, and their number is limited", () => {
  const parts = splitHits("a".repeat(10_000), "A");
  assert.equal(parts.join(""), "a".repeat(10_000));
  assert.equal(parts.length, 1001);
});
