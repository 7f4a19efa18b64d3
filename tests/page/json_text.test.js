import assert from "node:assert/strict";
import { test } from "node:test";
import { indent, isJson } from "../../port_hook_cli/inspector/page/capture/json_text.js";

test("JSON is indented without a change of its values", () => {
  const text = '{"n":12345678901234567890,"s":"a,\\"b\\":{","e":{},"l":[1.0,[]]}';
  const list = '  "l": [\n    1.0,\n    []\n  ]';
  const expected = `{\n  "n": 12345678901234567890,\n  "s": "a,\\"b\\":{",\n  "e": {},\n${list}\n}`;
  assert.equal(indent(text), expected);
});

test("indenting twice is the same as indenting once", () => {
  const text = '{"a":[{"b":null},true,"x\\ny"]}';
  assert.equal(indent(indent(text)), indent(text));
});

test("text is recognized as JSON, including null", () => {
  for (const text of ["null", " null\n", "0", '""', "{}"]) assert.ok(isJson(text), text);
  for (const text of ["", "nul", '{"a":', "{} x"]) assert.ok(!isJson(text), text);
});
