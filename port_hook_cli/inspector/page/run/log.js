// @ts-check
// The links and the log entries of a run, which come from the handler or from Port.
import { html } from "../ui/ui.js";
import { isoTime, oneLine, visible } from "../ui/format.js";

/** @import { LogEntry } from "../net/types.js" */

/** @param {string | null | undefined} url */
export const isWeb = (url) => /^https?:\/\//i.test(url ?? "");

/** Only http and https URLs become links. URLs with another scheme stay text. @param {{ links: string[] }} props */
export function Links({ links }) {
  return html`<ul class="links">${links.map((url) => html`<li key=${url}>
    ${isWeb(url)
      ? html`<a href=${url} rel="noreferrer noopener" target="_blank">${oneLine(url)}</a>`
      : html`<span class="mono">${oneLine(url)}</span>`}
  </li>`)}</ul>`;
}

/** @param {{ entries: LogEntry[] }} props */
export function Log({ entries }) {
  if (!entries.length) return html`<p class="note">No log messages yet.</p>`;
  return html`<ol class="log" tabindex="0" aria-label="Log">${entries.map((entry, index) => html`
    <li key=${index} class=${oneLine(entry.level ?? "").toLowerCase()}>
      <time>${isoTime(entry.at)}</time>
      ${entry.level && html`<small>${oneLine(entry.level)}</small>`}
      <span>${visible(entry.text)}</span>
    </li>`)}</ol>`;
}
