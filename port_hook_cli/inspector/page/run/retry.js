// @ts-check
// Runs a workflow again from a node, like `port-hook trigger --from`. Before that, shows which nodes have already
// acted.
import { html, Button, useState } from "../ui/ui.js";
import { get, post } from "../net/api.js";
import { latency, oneLine, visible } from "../ui/format.js";
import { Problem, Status, WithCode } from "../ui/parts.js";
import { submitting, useTask } from "../ui/task.js";

/** @import { Acted, RetryPlan, Retried, RetryStep, RunNode } from "../net/types.js" */
/** @import { Around } from "./layout.js" */

/** @param {{ node: RunNode, around: Around }} props */
export function Retry({ node, around: { run, capture, session, actions } }) {
  const [plan, setPlan] = useState(/** @type {RetryPlan | null} */ (null));
  const [to, setTo] = useState("");
  const [done, setDone] = useState(/** @type {Retried | null} */ (null));
  const { isBusy, problem, run: attempt } = useTask();
  const address = `/api/runs/${encodeURIComponent(run.id)}/retry`;
  const asked = { node: node.id, capture: capture.row.id };
  const prepare = () => attempt(async () => {
    const found = await get(address, asked);
    setDone(null);
    setTo(found.to ?? "");
    setPlan(found);
  });
  const send = () => attempt(async () => {
    setDone(await post(address, { ...asked, to: to === plan?.to ? undefined : to }));
    setPlan(null);
  });
  return html`<div class="retry">
    ${!plan && html`<p>
      <${Button} icon="replay" label="Retry from here" disabled=${isBusy || !session?.can.sign} onClick=${prepare} />
      ${session?.why_not.sign && html` <span class="dim">${session.why_not.sign}</span>`}
    </p>`}
    ${plan && html`<form class="form" aria-label="Retry from here" onSubmit=${submitting(send)}>
      <h3>Run ${oneLine(plan.workflow)} from ${oneLine(node.title)}</h3>
      <p>port-hook runs this node and the nodes after it on this machine, with the outputs of the run
        ${" "}<span class="mono">${oneLine(plan.last_run_id)}</span> and the definition from ${oneLine(plan.source)}.
      </p>
      <${Nodes} title="These nodes acted in that run and won't run again" nodes=${plan.not_run_again} />
      <${Nodes} title="These nodes acted in that run and may act again" nodes=${plan.run_again} />
      <label class="field"><span>To</span>
        <input type="text" required placeholder="8000" value=${to}
          onInput=${(/** @type {any} */ event) => setTo(event.currentTarget.value)} />
      </label>
      <div class="send">
        <button type="submit" class="button primary" disabled=${isBusy || !to}>
          ${isBusy ? "Running…" : "Run from here"}</button>
        <${Button} label="Cancel" disabled=${isBusy} onClick=${() => setPlan(null)} />
      </div>
    </form>`}
    ${done && html`<${Outcome} done=${done} actions=${actions} />`}
    ${problem && html`<${Problem} problem=${problem} />`}
  </div>`;
}

/** @param {{ title: string, nodes: Acted[] }} props */
function Nodes({ title, nodes }) {
  if (!nodes.length) return null;
  return html`<p>${title}:</p><ul class="acted">${nodes.map((each) => html`<li key=${each.node}>
    <b>${oneLine(each.node)}</b> <span class="dim">${oneLine(each.node_type).toLowerCase()}, ${wordOf(each)}</span>
  </li>`)}</ul>`;
}

/** @param {Acted} node */
const wordOf = (node) => oneLine(node.result ?? node.status).toLowerCase().replaceAll("_", " ");

/** @param {{ done: Retried, actions: { open: (id: string) => void } }} props */
function Outcome({ done, actions }) {
  const { result } = done.run;
  const tone = result === "SUCCESS" ? "good" : result ? "bad" : "";
  const title = result ? `The run ended: ${result}.` : `The run waits at ${done.in_progress ?? "a node"}.`;
  return html`<div class=${`note ${tone}`} role="status">
    <p>${oneLine(title)}</p>
    <ul class="acted">
      ${done.steps.map((step) => html`<${Ran} key=${step.node} step=${step} actions=${actions} />`)}</ul>
    ${done.notes.map((note) => html`<p key=${note}><${WithCode} text=${note} /></p>`)}
  </div>`;
}

/** @param {{ step: RetryStep, actions: { open: (id: string) => void } }} props */
function Ran({ step, actions }) {
  const { delivery, capture } = step;
  return html`<li><b>${oneLine(step.node)}</b> ${wordOf(step)}
    ${delivery && html`, <${Status} of=${delivery} isPlain />
      ${" "}in ${latency(delivery.latency_ms)}`}
    ${capture && html` <button type="button" class="link" onClick=${() => actions.open(capture)}>Open capture</button>`}
    ${step.remarks.map((remark) => html`<br /><span class="dim">${visible(remark)}</span>`)}</li>`;
}
