// Asks for the first rows of the list while the browser still loads the page's other modules.
import { get, query } from "./api.js";
import { readLocation } from "./place.js";

const FIRST_ROWS = 40;

const { filters } = readLocation();
let started = { key: query(filters), page: firstPage(filters) };
started.page.catch(() => {}); // whoever takes it handles the error

function firstPage(filters, signal) {
  return get("/api/captures", { ...filters, limit: FIRST_ROWS }, signal);
}

/** The first rows that match: those that were asked for when the page was opened, if nobody has taken them yet. */
export function takeFirstPage(filters, signal) {
  const { key, page } = started;
  started = { key: null, page: null };
  return key === query(filters) ? page : firstPage(filters, signal);
}
