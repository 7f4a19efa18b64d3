// @ts-check
// The response to a replay, beside the earlier response.
import { html, Button } from "../ui/ui.js";
import { ApiError, captureUrl, get } from "../net/api.js";
import { latency, oneLine, visible } from "../ui/format.js";
import { Status, WithCode } from "../ui/parts.js";
import { useResource } from "../ui/resource.js";

/** @import { Capture, Sent } from "../net/types.js" */
/** @import { Actions } from "./actions.js" */

/**
 * The old and new responses side by side, each with the latency of the handler. The listener's own time is not
 * included.
 * @param {{ capture: Capture, result: Sent, actions: Actions }} props
 */
export function Result({ capture, result, actions }) {
  const now = result.delivery;
  const saved = result.capture ?? "";
  // The listener saves the outcome shortly after it has responded.
  const { value: made } = useResource(
    async (signal) => {
      const found = await get(captureUrl(saved), {}, signal);
      if (found.row.response === null) throw new ApiError(0, {});
      return found;
    },
    now.status === null ? "" : saved,
    { retry_ms: 200 },
  );
  // An unsaved request went directly to the handler.
  const before = saved ? (capture.response ?? capture.delivery) : (capture.delivery ?? capture.response);
  const handler = saved && now.status !== null ? made?.delivery : now;
  return html`<section class="result" aria-label="Result" aria-live="polite">
    <div>
      <h3>Before</h3>
      ${before
        ? html`<${Outcome} response=${before} handler=${capture.delivery} />`
        : html`<p class="note">No response was recorded.</p>`}
    </div>
    <div>
      <h3>Now</h3>
      <${Outcome} response=${now} handler=${handler} />
      ${saved && html`<${Button}
        icon="compare"
        label="Compare the requests"
        onClick=${() => actions.against(saved, capture.row.id)}
      />`}
    </div>
    ${result.notes.map((note) => html`<p class="note" key=${note}><${WithCode} text=${note} /></p>`)}
  </section>`;
}

function Outcome({ response, handler }) {
  return html`<p class="lead">
      <${Status} of=${response} />${" "}
      ${handler && html`<span>in ${latency(handler.latency_ms)}</span>`}
    </p>
    ${response.error && html`<p class="note bad">${oneLine(response.error)}</p>`}
    <pre class="raw" tabindex="0">${visible(response.body.text ?? "(not text)") || "(empty)"}</pre>`;
}
