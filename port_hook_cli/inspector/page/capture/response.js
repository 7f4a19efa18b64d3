// @ts-check
// The handler's response, and the response to Port.
import { html } from "../ui/ui.js";
import { Body } from "./body.js";
import { isPending, oneLine, sentence, took } from "../ui/format.js";
import { Status } from "../ui/parts.js";

/** @import { Capture } from "../net/types.js" */

/** @param {{ capture: Capture }} props */
export function Responses({ capture: { delivery, response, row, simulated, fate } }) {
  return html`
    <h3>From your handler</h3>
    ${delivery
      ? html`<p class="lead">
            <${Status} of=${delivery} /> ${took(delivery)} from <span class="mono">${oneLine(delivery.url)}</span>
          </p>
          ${delivery.error && html`<p class="note bad">${sentence(delivery.error)}</p>`}
          <${Body} id=${row.id} part="delivery" body=${delivery.body} headers=${delivery.headers} />`
      : html`<p class="note">${isPending(row) ? "The handler has not responded yet." : "Not forwarded."}</p>`}
    <h3>To Port</h3>
    ${simulated && html`<p class="note warn">
      ${simulated.manual ? "Responded" : "Simulated:"} ${oneLine(simulated.text)}
    </p>`}
    ${row.message !== null
      ? html`<p class="note">Port gets no response to a Kafka message.</p>`
      : response
        ? html`<p class="lead">
              <${Status} of=${response} /> ${response.unchanged && "unchanged from your handler"}
            </p>
            ${!response.unchanged && html`
              <${Body} id=${row.id} part="response" body=${response.body} headers=${response.headers} />`}`
        : html`<p class="note">No response was recorded.</p>`}
    ${fate && html`<p class="note">${sentence(fate)}</p>`}`;
}
