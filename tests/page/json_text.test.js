import assert from "node:assert/strict";
import { test } from "node:test";
import { indent, isJson, withValue } from "../../port_hook_cli/inspector/page/capture/json_text.js";

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

test("JSON is known without its position, and null is JSON", () => {
  for (const text of ["null", " null\n", "0", '""', "{}"]) assert.ok(isJson(text), text);
  for (const text of ["", "nul", '{"a":', "{} x"]) assert.ok(!isJson(text), text);
});

test("one value is replaced, and nothing else of the text", () => {
  const text = '{"id": 12345678901234567890, "l": ["a", {"a": 0}], "in": {"b": "a", "a": [1, {"a": 2}], "c":1.0}}';
  assert.equal(withValue(text, ["in", "a"], "x"), text.replace('[1, {"a": 2}]', '"x"'));
  assert.equal(withValue(text, ["in", "c"], null), text.replace("1.0", "null"));
  assert.equal(withValue(text, ["in", "d"], 1), null);
  assert.equal(withValue(text, ["l", "a"], 1), null);
  assert.equal(withValue('["in", "a"]', ["in"], 1), null);
});

test("a value of several lines gets the margin of its line", () => {
  assert.equal(withValue('{\n  "a": 1\n}', ["a"], { b: [] }), '{\n  "a": {\n    "b": []\n  }\n}');
});

test("a key with escapes is the key that it stands for", () => {
  assert.equal(withValue('{"\\u0061": 1}', ["a"], 2), '{"\\u0061": 2}');
});
