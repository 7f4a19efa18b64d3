// @ts-check
// The computation of the signature, step by step, and why the signature does not match.
import { html, Icon } from "../ui/ui.js";
import { Causes } from "./verdict.js";
import { duration, fullTime, number, oneLine, verdictOf, visible } from "../ui/format.js";

/** @import { Capture } from "../net/types.js" */

/** @param {{ capture: Capture }} props */
export function Signature({ capture: { verdict, row } }) {
  const look = verdictOf(verdict.status);
  const { parts, signed_form, difference, age_s } = verdict;
  const isSame = parts.expected !== null && parts.expected === parts.received;
  const isMessage = row.message !== null;
  const age = age_s === null ? "" : `, ${duration(age_s)} ${age_s >= 0 ? "before" : "after"} it arrived`;
  return html`
    <p class=${`lead ${look.tone}`}><${Icon} name=${look.icon} /><span>${verdict.about}</span></p>
    <${Causes} verdict=${verdict} />
    ${difference && html`<h3>First difference, at byte ${number(difference.offset)}</h3>
      <dl class="difference">
        <${Side} name=${isMessage ? "Message" : "Raw body"} tone=${look.tone} at=${difference.offset}
          part=${difference.raw} />
        <${Side} name=${isMessage ? "Signed" : `Signed: ${oneLine(signed_form)}`} tone="good" at=${difference.offset}
          part=${difference.signed} />
      </dl>`}
    <h3>How the signature is computed</h3>
    <ol class="steps">
      <li>
        <b>Timestamp</b><code>${oneLine(parts.timestamp ?? "missing")}</code>
        ${parts.timestamp_at !== null && html`<small class="dim">${fullTime(parts.timestamp_at)}${age}</small>`}
      </li>
      <li>
        <b>Signed text</b>
        <code class="block" tabindex="0" role="region" aria-label="Signed text">${visible(parts.signed_text)}</code>
        <small class="dim">
          timestamp, a period and the ${isMessage ? "message without its two signature headers" : "raw body"}:${" "}
          ${number(parts.signed_bytes)} bytes
        </small>
      </li>
      <li><b>HMAC-SHA-256</b><small class="dim">with the client secret, in Base64, after "v1,"</small></li>
      <li><b>Received</b><code class=${isSame ? "good" : "bad"}>${oneLine(parts.received ?? "missing")}</code></li>
      <li>
        <b>Expected</b>
        ${parts.expected
          ? html`<code class="good">${oneLine(parts.expected)}</code>`
          : html`<small class="dim">${parts.note ?? "not known"}</small>`}
        ${isSame && html`<small class="good">the same</small>`}
      </li>
    </ol>`;
}

/** The part of a body around its first difference, with visible spaces. */
function Side({ name, tone, at, part }) {
  const size = `${number(part.bytes)} ${part.bytes === 1 ? "byte" : "bytes"}, in hex: ${part.hex}`;
  return html`<dt>${name}</dt>
    <dd>
      <code>${at > 32 && "…"}${oneLine(part.before)}<mark class=${tone}
        >${oneLine(part.differs).replaceAll(" ", "␣")}</mark>${oneLine(part.after)}</code>
      <small class="dim">${part.bytes ? size : "no bytes"}</small>
    </dd>`;
}
