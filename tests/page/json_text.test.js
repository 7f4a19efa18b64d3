import assert from "node:assert/strict";
import { test } from "node:test";
import { indent } from "../../port_hook_cli/inspector/page/capture/json_text.js";

test("JSON is indented without a change of its values", () => {
  const text = '{"n":12345678901234567890,"s":"a,\\"b\\":{","e":{},"l":[1.0,[]]}';
  const lines = ["{", '  "n": 12345678901234567890,', '  "s": "a,\\"b\\":{",', '  "e": {},', '  "l": [', "    1.0,", "    []"];
  const expected = [...lines, "  ]", "}"].join("\n");
  assert.equal(indent(text), expected);
});

test("indenting twice is the same as indenting once", () => {
  const text = '{"a":[{"b":null},true,"x\\ny"]}';
  assert.equal(indent(indent(text)), indent(text));
});
