// @ts-check
// A verdict in a word, and its causes. The causes of a valid signature are warnings.
import { html, Icon } from "../ui/ui.js";
import { oneLine, verdictOf } from "../ui/format.js";
import { WithCode } from "../ui/parts.js";

/** @import { Row, Verdict } from "../net/types.js" */

/** @param {Row} row */
export const hasWarning = (row) => row.verdict === "valid" && row.causes.length > 0;

/** @param {{ row: Row, about?: string }} props */
export function VerdictMark({ row, about }) {
  const look = verdictOf(row.verdict);
  return html`<span class=${`verdict ${look.tone}`} title=${about}>
    <${Icon} name=${look.icon} size=${14} />${look.word}
    ${hasWarning(row) && html`<span class="warn" title=${oneLine(row.causes.join(", "))}>
      <${Icon} name="alert" size=${14} /><span class="sr">, with a warning</span>
    </span>`}
  </span>`;
}

/** @param {{ verdict: Verdict }} props */
export function Causes({ verdict }) {
  const tone = verdict.status === "valid" ? "warn" : verdictOf(verdict.status).tone;
  return verdict.causes.length > 0 && html`<div class="causes">
    ${verdict.causes.map((cause) => html`<article key=${cause.slug} class=${`cause ${tone}`}>
      <h3><${WithCode} text=${cause.explanation} /></h3>
      <p><b>Fix:</b> <${WithCode} text=${cause.fix} /></p>
      <code>${oneLine(cause.slug)}</code>
    </article>`)}
  </div>`;
}
