// @ts-check
// The details of a step: its request, its response, its output and its log, a report, and "Retry from here".
import { html, memo, Button } from "../ui/ui.js";
import { Body } from "../capture/body.js";
import { indent } from "../capture/json_text.js";
import { captureUrl, get } from "../net/api.js";
import { isoTime, latency, oneLine, time, visible } from "../ui/format.js";
import { Problem, Status } from "../ui/parts.js";
import { useResource } from "../ui/resource.js";
import { hasEnded } from "./layout.js";
import { Links, Log } from "./log.js";
import { Report } from "./report.js";
import { Retry } from "./retry.js";

/** @import { Capture, Row, RunNode } from "../net/types.js" */
/** @import { Around, Step } from "./layout.js" */

const MOST_OF_AN_OUTPUT = 8000;
const MOST_CAPTURES = 5;
const EVERY_MS = 3000;
const NOT_REPORTED = new Set(["CONDITION", "INPUT"]);

export const StepDetail = memo(/** @param {{ step: Step, around: Around }} props */ ({ step, around }) => {
  const { run, capture } = around;
  if (step.node) return html`<${NodeDetail} node=${step.node} step=${step} around=${around} />`;
  if (step.id === "sent") return html`<${CaptureParts} row=${capture.row} part="request" />`;
  if (step.id === "accepted") return html`<${CaptureParts} row=${capture.row} part="response" />`;
  if (step.id === "log") return html`<${Log} entries=${step.logs} />`;
  return html`<p>${hasEnded(run)
    ? `Port recorded ${oneLine(run.status)}${run.ended_at ? ` at ${isoTime(run.ended_at)}` : ""}.`
    : "The run stays IN_PROGRESS until the handler reports its result."}</p>`;
});

/** @param {{ node: RunNode, step: Step, around: Around }} props */
function NodeDetail({ node, step, around }) {
  const { run, onDone } = around;
  const isTrigger = node.type?.endsWith("TRIGGER");
  const canReport = node.run_id && step.state === "live" && !isTrigger && !NOT_REPORTED.has(node.type ?? "");
  if (!node.status) {
    return html`<p class="dim">The run ${hasEnded(run) ? "did not reach" : "has not reached"} this node.</p>`;
  }
  return html`
    <p class="dim"><span class="mono">${oneLine(node.id)}</span>
      ${node.started_at && `, started at ${isoTime(node.started_at)}`}
      ${node.outlet && html`, chose <b>${oneLine(node.outlet)}</b>`}</p>
    ${node.error && html`<p class="note bad">${visible(node.error)}</p>`}
    ${!isTrigger && html`<${Retry} key=${node.id} node=${node} around=${around} />`}
    ${node.run_id && html`<${Captures} run=${node.run_id} version=${step.state} around=${around} />`}
    ${node.output && html`<${Output} text=${node.output} />`}
    ${(node.links?.length ?? 0) > 0 && html`<${Links} links=${node.links} />`}
    ${step.logs.length > 0 && html`<h3>Log</h3><${Log} entries=${step.logs} />`}
    ${canReport && html`<${Report} key=${node.run_id} id=${node.run_id} workflowRun=${run.id} onDone=${onDone} />`}`;
}

/** The captures of a node run, latest first. @param {{ run: string, version: string, around: Around }} props */
function Captures({ run, version, around }) {
  const parameters = { run, limit: MOST_CAPTURES };
  const { value, problem } = useResource((signal) => get("/api/captures", parameters, signal), run, {
    version,
    every_ms: () => (version === "live" ? EVERY_MS : 0),
  });
  if (problem) return html`<${Problem} problem=${problem} />`;
  return html`${value?.captures.map((/** @type {Row} */ row) => html`
    <${CaptureParts}
      key=${row.id} row=${row} open=${row.id === around.capture.row.id ? null : around.actions.open}
    />`)}`;
}

/**
 * The request and the response of a capture, or only one of them.
 * @param {{ row: Row, part?: "request" | "response", open?: ((id: string) => void) | null }} props
 */
function CaptureParts({ row, part, open }) {
  const version = `${row.response} ${row.handler?.status}`;
  const { value } = useResource((signal) => get(captureUrl(row.id), {}, signal), row.id, { version });
  const answered = /** @type {Capture | null} */ (value)?.delivery ?? value?.response;
  const where = value?.delivery ? "delivery" : "response";
  return html`<div class="capture-parts">
    ${part !== "response" && html`<details open=${part === "request"}>
      <summary><b>Request</b> <span class="mono">${oneLine(row.method)} ${oneLine(row.target).slice(0, 80)}</span>
        ${" "}<span class="dim">${time(row.received_at)}</span></summary>
      ${value && html`<${Body} id=${row.id} part="request" body=${value.request.body}
        headers=${value.request.headers} />`}
    </details>`}
    ${part !== "request" && (answered
      ? html`<details open=${part === "response" || (answered.status ?? 500) >= 400}>
          <summary><b>Response</b> <${Status} of=${answered} isPlain />
            ${row.handler && html` <span class="dim">${latency(row.handler.latency_ms)}</span>`}</summary>
          ${value?.delivery?.error && html`<p class="note bad">${visible(value.delivery.error)}</p>`}
          <${Body} id=${row.id} part=${where} body=${answered.body} headers=${answered.headers} />
        </details>`
      : value && html`<p class="dim">No response was recorded.</p>`)}
    ${open && html`<${Button} label="Open capture" onClick=${() => open(row.id)} />`}
  </div>`;
}

/** @param {{ text: string }} props */
function Output({ text }) {
  return html`<details open class="output"><summary><b>Output</b></summary>
    <pre class="raw" tabindex="0" aria-label="Output">${visible(indent(text))}</pre>
    ${text.length >= MOST_OF_AN_OUTPUT && html`<p class="note">Only the beginning is shown.</p>`}
  </details>`;
}
