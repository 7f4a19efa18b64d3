// @ts-check
// Shared parts of the page: the reason for a failure, and the response to a request.
import { html } from "./ui.js";
import { handlerText, toneOf, visible } from "./format.js";

/** @import { Responded } from "./format.js" */

/**
 * A text from port-hook that contains commands in backticks.
 * @param {{ text: string }} props
 */
export function WithCode({ text }) {
  return html`${visible(text).split("`").map((part, at) => (at % 2 ? html`<code>${part}</code>` : part))}`;
}

/**
 * The reason for a failure, and what to do next. With `isTall`, the hint has a line of its own.
 * @param {{ problem: { message: string, hint?: string }, isTall?: boolean, children?: unknown }} props
 */
export function Problem({ problem, isTall, children }) {
  return html`<p class="note bad lines" role="alert">
    <${WithCode} text=${`${problem.message}${isTall ? "\n" : " "}${problem.hint ?? ""}`} />${children}
  </p>`;
}

/**
 * The status of a response in its tone, or what happened instead of a response.
 * @param {{ of: Responded, isPlain?: boolean }} props
 */
export function Status({ of, isPlain }) {
  return html`<b class=${`${isPlain ? "" : "pill "}${toneOf(of)}`}>${handlerText(of)}</b>`;
}
