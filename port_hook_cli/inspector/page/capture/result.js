// What came back from a request that was sent again, beside what came back before.
import { html, Button } from "../ui/ui.js";
import { handlerText, latency, oneLine, statusTone, visible } from "../ui/format.js";

/** The old and the new response side by side. */
export function Result({ capture, result, actions }) {
  const now = result.delivery;
  return html`<section class="result" aria-label="Result" aria-live="polite">
    <div><h4>Before</h4>${capture.delivery || capture.response
      ? html`<p class="lead"><b class=${statusTone(capture.response?.status)}>${capture.response?.status ?? handlerText(capture.delivery)}</b>${capture.delivery && html` in ${latency(capture.delivery.latency_ms)}`}</p>
        <pre class="raw" tabindex="0">${visible((capture.response ?? capture.delivery).body.text ?? "(not text)") || "(empty)"}</pre>`
      : html`<p class="note">No response was recorded.</p>`}</div>
    <div><h4>Now</h4><p class="lead"><b class=${now.status === null ? "bad" : statusTone(now.status)}>${handlerText(now)}</b> in ${latency(now.latency_ms)}</p>
      ${now.error && html`<p class="note bad">${oneLine(now.error)}</p>`}
      <pre class="raw" tabindex="0">${visible(now.body.text ?? "(not text)") || "(empty)"}</pre>
      ${result.capture && html`<${Button} icon="compare" label="Compare the requests" onClick=${() => actions.against(result.capture, capture.row.id)} />`}</div>
    ${result.notes.map((note) => html`<p class="note" key=${note}>${oneLine(note)}</p>`)}
  </section>`;
}
