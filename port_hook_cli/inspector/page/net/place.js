// @ts-check
// Reads the page's state from its URL.

export const FILTERS = ["text", "action", "verdict", "response", "handler", "run", "since", "until", "id",
  "user", "entity", "workflow", "node", "latency"];

/** @import { Filters } from "./types.js" */

export function readLocation() {
  const found = new URLSearchParams(window.location.search);
  const filters = /** @type {Filters} */ ({});
  for (const name of FILTERS) {
    const values = found.getAll(name).filter(Boolean);
    if (values.length) filters[name] = name === "verdict" ? values : values[0];
  }
  const of = (name) => found.get(name) ?? "";
  return { filters, open: of("open"), tab: of("tab"), against: of("against"), view: of("view") };
}
