// @ts-check
// The run in Port: its state, and its steps on a time axis. The page follows the run until it ends.
import { html, Icon } from "../ui/ui.js";
import { ApiError, get } from "../net/api.js";
import { copy } from "../ui/copy.js";
import {
  clockTime, duration, fullTime, isoTime, nameOf, oneLine, responseText, statusTone, time, visible,
} from "../ui/format.js";
import { WithCode } from "../ui/parts.js";
import { useResource } from "../ui/resource.js";
import { hasEnded, milliseconds, stateOf } from "./layout.js";
import { isWeb, Links, Log } from "./log.js";
import { Report } from "./report.js";
import { Waterfall } from "./waterfall.js";

/** @import { Capture, FoundRun, NoRun, PortRun, Row, Session } from "../net/types.js" */
/** @import { ApiError as Problem } from "../net/door.js" */

const EVERY_MS = 1500;

/**
 * @param {string} id
 * @param {string | undefined} workflowRun
 * @param {AbortSignal} signal
 * @returns {Promise<FoundRun | NoRun>}
 */
async function load(id, workflowRun, signal) {
  const found = await get(`/api/runs/${encodeURIComponent(id)}`, { workflow_run: workflowRun }, signal);
  // A temporary problem counts as a failed attempt, so the last state stays visible.
  if (!found.available && found.temporary) throw new ApiError(502, { error: found.reason, hint: found.hint });
  return found;
}

/** @param {FoundRun | NoRun} found */
const pause = (found) => (found.available && !hasEnded(found.run) ? EVERY_MS : 0);

/** @param {{ capture: Capture, session: Session | null, actions: { open: (id: string) => void } }} props */
export function Run({ capture, session, actions }) {
  const workflowRun = capture.summary.find(([label]) => label === "workflow run")?.[1];
  const id = capture.row.run_id ?? workflowRun ?? "";
  const key = id && `${id} ${workflowRun ?? ""}`;
  const { value: found, problem, at, reload } = useResource((signal) => load(id, workflowRun, signal), key, {
    retry_ms: EVERY_MS,
    every_ms: pause,
  });
  if (!id) return html`<p class="note">This request has no run ID.</p>`;
  if (!found && problem) return html`<${Failed} problem=${problem} />`;
  if (!found) return html`<p class="note">Loading the run from Port…</p>`;
  if (!found.available) {
    return html`
      <p class="note"><${WithCode} text=${`${found.reason.replace(/[^.!?]$/, "$&.")} ${found.hint}`} /></p>
      ${found.captures.length > 0 && html`<${Captures} rows=${found.captures} shown=${capture.row.id}
        open=${actions.open} />`}
      ${found.can_report && html`<${Report} key=${id} id=${id} onDone=${reload} />`}`;
  }
  const { run } = found;
  const others = run.kind === "workflow" ? found.logs.filter((entry) => !entry.node) : [];
  return html`<div>
    ${problem && html`<${Failed} problem=${problem} at=${at} />`}
    <${Head} run=${run} />
    <${Waterfall} key=${run.id} found=${found} around=${{ run, capture, session, actions, onDone: reload }} />
    ${others.length > 0 && html`<h3>Log of the run</h3><${Log} entries=${others} />`}
    ${run.kind === "action" && !hasEnded(run) && html`<${Report} key=${id} id=${id} onDone=${reload} />`}
  </div>`;
}

/**
 * The captures of a run that Port does not know, oldest first.
 * @param {{ rows: Row[], shown: string, open: (id: string) => void }} props
 */
function Captures({ rows, shown, open }) {
  return html`<h3>Captures of this run</h3><ol class="run-captures">${rows.map((row) => html`<li key=${row.id}>
    <button type="button" class="link" aria-current=${row.id === shown ? "true" : null} onClick=${() => open(row.id)}>
      <span title=${fullTime(row.received_at)}>${time(row.received_at)}</span> <b>${nameOf(row).slice(0, 200)}</b>
    </button>
    <b class=${`pill ${row.handler?.status === null ? "bad" : statusTone(row.response)}`}>${responseText(row)}</b>
  </li>`)}</ol>`;
}

/** @param {{ problem: Problem, at?: number }} props */
function Failed({ problem, at }) {
  return html`<p class=${`note ${at ? "warn" : "bad"}`} role="status">
    ${at ? `Not up to date since ${clockTime(at / 1000)}. ` : ""}${visible(problem.message)} Trying again.${" "}
    <${WithCode} text=${problem.hint} />
  </p>`;
}

/** @param {{ run: PortRun }} props */
function Head({ run }) {
  // The status of an ended workflow run is COMPLETED, whatever its result.
  const word = run.kind === "workflow" && run.label ? run.label : run.status;
  const [start, end] = [milliseconds(run.created_at), milliseconds(run.ended_at)];
  const took = start !== null && end !== null ? duration((end - start) / 1000) : "";
  return html`
    <div class="run-head">
      <b class=${`pill ${stateOf(word)}`} role="status">${oneLine(word)}</b>
      ${run.label && word !== run.label && html`<span>${oneLine(run.label)}</span>`}
      ${run.name && html`<span class="run-name">${oneLine(run.name)}</span>`}
      <span class="dim">${[isoTime(run.created_at), took].filter(Boolean).join(" · ")}</span>
      <button type="button" class="link mono" title="Copy the run's ID" onClick=${() => copy(run.id, "Copied the ID.")}>
        ${oneLine(run.id)}
      </button>
      ${isWeb(run.url) && html`<a class="button" href=${run.url} rel="noreferrer noopener" target="_blank">
        <${Icon} name="link" />Open in Port</a>`}
    </div>
    ${run.skew_s ? html`<p class="note warn">This machine's clock is ${duration(run.skew_s)}
      ${run.skew_s > 0 ? " ahead of" : " behind"} Port's.</p>` : null}
    ${run.summary && html`<p>${visible(run.summary)}</p>`}
    ${run.link.length > 0 && html`<${Links} links=${run.link} />`}`;
}
