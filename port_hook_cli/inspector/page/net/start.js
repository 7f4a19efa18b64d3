// @ts-check
// Requests the first rows of the list while the browser loads the page's other modules.
import { get, query } from "./api.js";
import { readLocation } from "./place.js";
import "../ui/theme.js"; // runs before the page is painted

/** @import { Filters, Row } from "./types.js" */
/** @typedef {{ captures: Row[], next: number | null, position: string }} FirstPage */

const FIRST_ROWS = 40;

const { filters } = readLocation();
const page = firstPage(filters);
page.catch(() => {}); // the caller of takeFirstPage handles the error
let started = /** @type {{ key: string, page: Promise<FirstPage> } | null} */ ({ key: query(filters), page });

/**
 * @param {Filters} filters
 * @param {AbortSignal} [signal]
 * @returns {Promise<FirstPage>}
 */
function firstPage(filters, signal) {
  return get("/api/captures", { ...filters, limit: FIRST_ROWS }, signal);
}

/**
 * Return the first matching rows. The first call returns the rows that the page requested when it opened.
 * @param {Filters} filters
 * @param {AbortSignal} signal
 */
export function takeFirstPage(filters, signal) {
  const first = started;
  started = null;
  return first?.key === query(filters) ? first.page : firstPage(filters, signal);
}
