// What the handler responded, and what Port got.
import { html } from "../ui/ui.js";
import { Body } from "./body.js";
import { handlerText, isPending, oneLine, sentence, statusTone, took } from "../ui/format.js";

export function Responses({ capture }) {
  const { delivery, response, row } = capture;
  return html`
    <h3>From your handler</h3>
    ${delivery
      ? html`<p class="lead"><b class=${delivery.status === null ? "bad" : statusTone(delivery.status)}>${handlerText(delivery)}</b> ${took(delivery)} from <span class="mono">${oneLine(delivery.url)}</span></p>
          ${delivery.error && html`<p class="note bad">${sentence(delivery.error)}</p>`}
          <${Body} id=${row.id} part="delivery" body=${delivery.body} headers=${delivery.headers} />`
      : html`<p class="note">${isPending(row) ? "The handler has not responded yet." : "The request was not forwarded."}</p>`}
    <h3>To Port</h3>
    ${capture.simulated && html`<p class="note warn">${capture.simulated.by_hand ? "Answered" : "Simulated:"} ${oneLine(capture.simulated.text)}</p>`}
    ${response
      ? html`<p class="lead"><b class=${statusTone(response.status)}>${response.status}</b></p>${capture.fate && html`<p class="note">${sentence(capture.fate)}</p>`}
          <${Body} id=${row.id} part="response" body=${response.body} headers=${response.headers} />`
      : html`<p class="note">No response was recorded.</p>`}`;
}
