import assert from "node:assert/strict";
import { test } from "node:test";
import { titleOf } from "../../port_hook_cli/inspector/page/frame/title.js";

const session = { url: "http://127.0.0.1:8787/", store: "/home/me/project/.port-hook/captures.db" };
const none = { row: null, view: "", waiting: 0, held: 0, session };

test("the title shows the open capture, or the number of new captures", () => {
  const row = { name: "create_vm\u202e", kind: "action-run", response: 202, handler: null, received_at: 0 };
  assert.equal(titleOf({ ...none, row }), "create_vm\\u202e · 202 · port-hook");
  assert.equal(titleOf({ ...none, row: { ...row, response: null } }), "create_vm\\u202e · none · port-hook");
  assert.equal(titleOf({ ...none, waiting: 3 }), "(3) port-hook 8787");
  assert.equal(titleOf({ ...none, waiting: 3, held: 2 }), "(2 held) (3) port-hook 8787");
  assert.equal(titleOf({ ...none, view: "check" }), "Check · port-hook");
});

test("the title of a store without a listener has its folder", () => {
  assert.equal(titleOf({ ...none, session: { ...session, url: null } }), "port-hook project");
  assert.equal(titleOf({ ...none, session: null }), "port-hook");
});
