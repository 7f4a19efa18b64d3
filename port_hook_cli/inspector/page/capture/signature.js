// The signature, step by step, and why it does not match.
import { html, Icon } from "../ui/ui.js";
import { duration, fullTime, number, oneLine, sentence, verdictOf, visible } from "../ui/format.js";

export function Signature({ verdict }) {
  const look = verdictOf(verdict.status);
  const { parts } = verdict;
  const isSame = parts.expected !== null && parts.expected === parts.received;
  const signed = verdict.reading === "kafka" ? "message without its two signature headers" : null;
  return html`
    <p class=${`lead ${look.tone}`}><${Icon} name=${look.icon} /> ${signed && verdict.status === "valid" ? `The signature matches the ${signed}.` : look.about}${verdict.reading && verdict.status === "reencoded" && html` It matches the form <code>${oneLine(verdict.reading)}</code>.`}</p>
    <${Causes} causes=${verdict.causes} tone=${look.tone} />
    <h3>How it was computed</h3>
    <ol class="steps">
      <li><b>Timestamp</b><code>${oneLine(parts.timestamp ?? "missing")}</code>
        ${parts.timestamp_at !== null && html`<small class="dim">${fullTime(parts.timestamp_at)}${verdict.age_s !== null && html`, ${duration(verdict.age_s)} ${verdict.age_s >= 0 ? "before" : "after"} it arrived`}</small>`}</li>
      <li><b>Signed text</b><code class="block" tabindex="0" role="region" aria-label="Signed text">${visible(parts.signed_text)}</code><small class="dim">timestamp, a period and the ${signed ?? "raw body"}: ${number(parts.signed_bytes)} bytes</small></li>
      <li><b>HMAC-SHA-256</b><small class="dim">with the client secret, in Base64, after "v1,"</small></li>
      <li><b>Received</b><code class=${isSame ? "good" : "bad"}>${oneLine(parts.received ?? "missing")}</code></li>
      <li><b>Expected</b>${parts.expected ? html`<code class="good">${oneLine(parts.expected)}</code>` : html`<small class="dim">${parts.note ?? "not known"}</small>`}
        ${isSame && html`<small class="good">the same</small>`}</li>
    </ol>`;
}

export function Causes({ causes, tone }) {
  if (!causes.length) return null;
  return html`<div class="causes">${causes.map((cause) => html`<article key=${cause.slug} class=${`cause ${tone}`}>
    <h4>${sentence(cause.explanation)}</h4><p><b>Fix:</b> ${sentence(cause.fix)}</p><code>${oneLine(cause.slug)}</code></article>`)}</div>`;
}
