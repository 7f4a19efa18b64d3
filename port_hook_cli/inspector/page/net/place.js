// The page's state as its URL has it.

export const FILTERS = ["text", "action", "verdict", "response", "handler", "run", "since", "until", "id",
  "user", "entity", "workflow", "node", "latency"];

export function readLocation() {
  const found = new URLSearchParams(window.location.search);
  const filters = {};
  for (const name of FILTERS) {
    const values = found.getAll(name).filter(Boolean);
    if (values.length) filters[name] = name === "verdict" ? values : values[0];
  }
  return { filters, open: found.get("open") ?? "", tab: found.get("tab") ?? "", against: found.get("against") ?? "", view: found.get("view") ?? "" };
}
