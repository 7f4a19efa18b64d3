// Which control an input gets, and what its text means.
import assert from "node:assert/strict";
import { test } from "node:test";
import { controlOf, helpFor, textOf, valueIn } from "../../port_hook_cli/inspector/page/capture/control.js";
import { Drafts } from "../../port_hook_cli/inspector/page/ui/drafts.js";

const KINDS = [
  [{ type: "string" }, "", "text", "text"],
  [{ type: "string", format: "email" }, "", "text", "email"],
  [{ type: "string", format: "url" }, "", "text", "url"],
  [{ type: "string", format: "entity" }, "", "text", "text"],
  [{ type: "string", encrypted: true }, "", "text", "password"],
  [{ type: "string", format: "multi-line", encrypted: true }, "", "lines", "text"],
  [{ type: "string", format: "yaml" }, "", "lines", "text"],
  [{ type: "string", format: "markdown" }, "", "lines", "text"],
  [{ type: "string", format: "date-time" }, "", "time", "datetime-local"],
  [{ type: "string", format: "date-time" }, "soon", "text", "text"],
  [{ type: "string", enum: ["a"] }, "a", "choice", "text"],
  [{ type: "number" }, null, "number", "number"],
  [{ type: "boolean" }, undefined, "switch", "text"],
  [{ type: "array", items: ["a", "b"] }, undefined, "choices", "text"],
  [{ type: "array", items: null }, undefined, "json", "text"],
  [{ type: "object" }, undefined, "json", "text"],
  [{}, "one\ntwo", "lines", "text"],
  [{}, ["a"], "json", "text"],
  [{}, { a: 1 }, "json", "text"],
  [{}, 3, "number", "number"],
  [{}, true, "switch", "text"],
  [{}, null, "text", "text"],
];

test("an input's type decides its control, otherwise its value", () => {
  for (const [input, value, kind, type] of KINDS) {
    const found = controlOf(input, value);
    assert.deepEqual([found.kind, found.type], [kind, type], JSON.stringify(input));
    assert.equal(found.isSecret, Boolean(input.encrypted));
  }
});

test("a control doesn't change a value", () => {
  const kinds = { json: { a: [1] }, number: 2.5, lines: "a\nb", text: "x", time: "2026-11-29T04:05:06.000Z" };
  for (const [kind, value] of Object.entries(kinds)) {
    assert.deepEqual(valueIn({ kind }, textOf({ kind }, value)), { value, problem: "" }, kind);
    assert.equal(textOf({ kind }, null), "");
  }
});

test("invalid text has a problem, and an empty field has no value", () => {
  assert.equal(valueIn({ kind: "json" }, "{").problem, "This is not JSON.");
  assert.equal(valueIn({ kind: "time" }, "soon").problem, "This is not a time.");
  assert.deepEqual(valueIn({ kind: "json" }, ""), { value: null, problem: "" });
  assert.deepEqual(valueIn({ kind: "text" }, ""), { value: "", problem: "" });
});

test("the help has the blueprint and the range", () => {
  const entity = { format: "entity", blueprint: "service", description: "Which?" };
  assert.equal(helpFor(entity), "Which? The identifier of an entity of service.");
  assert.equal(helpFor({ minimum: 0, maximum: 5 }), "From 0 to 5.");
  assert.equal(helpFor({ maximum: 0 }), "At most 0.");
  assert.equal(helpFor({}), "");
});

test("the oldest draft is dropped when there are too many", () => {
  const drafts = new Drafts(2);
  for (const key of ["a", "b", "a", "c"]) drafts.set(key, key);
  assert.deepEqual(["a", "b", "c"].map((key) => drafts.get(key)), ["a", undefined, "c"]);
});
