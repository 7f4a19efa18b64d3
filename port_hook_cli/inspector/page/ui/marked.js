// @ts-check
// Text of a sender in which what was searched for is marked.
import { html } from "./ui.js";
import { visible } from "./format.js";

// More marks help nobody, and each is an element.
const MOST = 500;

/** @param {{ text: unknown, find?: string }} props */
export function Marked({ text, find = "" }) {
  const parts = splitHits(visible(text), visible(find));
  return html`${parts.map((part, at) => (at % 2 ? html`<mark>${part}</mark>` : part))}`;
}

/**
 * Split a text at its hits: the odd parts are hits, in either case.
 * @param {string} text
 * @param {string} wanted
 */
export function splitHits(text, wanted) {
  const parts = wanted ? text.split(new RegExp(`(${wanted.replace(/\W/g, (sign) => escaped(sign))})`, "i")) : [text];
  return parts.length > 2 * MOST ? [...parts.slice(0, 2 * MOST), parts.slice(2 * MOST).join("")] : parts;
}

/** @param {string} sign */
const escaped = (sign) => (sign < "\x7f" ? `\\${sign}` : sign);
