// @ts-check
// A sender's text in which the search text is marked.
import { html } from "./ui.js";
import { visible } from "./format.js";

// Each mark is an element, so the number of marks is limited.
const MOST = 500;

/** @param {{ text: unknown, find?: string }} props */
export function Marked({ text, find = "" }) {
  const parts = splitHits(visible(text), visible(find));
  return html`${parts.map((part, at) => (at % 2 ? html`<mark>${part}</mark>` : part))}`;
}

/**
 * Split a text at its matches, ignoring case. The parts with odd indexes are matches.
 * @param {string} text
 * @param {string} wanted
 */
export function splitHits(text, wanted) {
  const parts = wanted ? text.split(new RegExp(`(${wanted.replace(/\W/g, (sign) => escaped(sign))})`, "i")) : [text];
  return parts.length > 2 * MOST ? [...parts.slice(0, 2 * MOST), parts.slice(2 * MOST).join("")] : parts;
}

/** @param {string} sign */
const escaped = (sign) => (sign < "\x7f" ? `\\${sign}` : sign);
