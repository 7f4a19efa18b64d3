// @ts-check
// Two captures side by side, with the changes in the outcome, the bodies and the headers.
import { html, Button, Icon } from "../ui/ui.js";
import { get } from "../net/api.js";
import { nameOf, oneLine, time, visible } from "../ui/format.js";
import { Problem } from "../ui/parts.js";
import { useResource } from "../ui/resource.js";

/** @import { Actions } from "./actions.js" */

const MARKS = { changed: "≠", added: "+", removed: "−", moved: "→" };

/** @param {{ a: string, b: string, actions: Actions }} props */
export function Comparison({ a, b, actions }) {
  const { value: found, problem } = useResource((signal) => get("/api/compare", { a, b }, signal), `${a} ${b}`);
  if (problem) return html`<${Problem} problem=${problem} />`;
  if (!found) return html`<p class="note">Comparing…</p>`;
  const { facts, response, body, headers } = found;
  return html`<div class="comparison">
    <div class="sides">
      <${Side} label="Before" side=${found.a} actions=${actions} />
      <${Icon} name="chevron" />
      <${Side} label="After" side=${found.b} actions=${actions} />
      <${Button} icon="swap" label="Swap" onClick=${() => actions.against(a, b)} />
    </div>
    ${![facts, response, body, headers].some((changes) => changes.length) && html`
      <p class="note good">The two captures are the same.</p>`}
    ${found.note && html`<p class="note">${oneLine(found.note)}</p>`}
    <${Changes} title="Outcome" changes=${facts} />
    <${Changes} title="Response body" changes=${response} />
    <${Changes} title="Request body" changes=${body} />
    <${Changes} title="Headers" changes=${headers} />
    ${!found.complete && html`<p class="note">These are the first 500 changes.</p>`}
  </div>`;
}

function Side({ label, side, actions }) {
  return html`<div>
    <small>${label}</small>
    <button type="button" class="link mono" onClick=${() => actions.open(side.id)}>${oneLine(side.id)}</button>
    <small class="dim">${nameOf(side)}, ${time(side.received_at)}</small>
  </div>`;
}

function Changes({ title, changes }) {
  return changes.length > 0 && html`<h3>${title} <small class="tag">${changes.length}</small></h3>
    <table class="changes" aria-label=${title}>
      <colgroup><col class="mark" /><col class="path" /><col /><col /></colgroup>
      <thead class="sr"><tr><th>Kind</th><th>Path</th><th>Before</th><th>After</th></tr></thead>
      <tbody>${changes.map((change) => html`<${Line} key=${change.path} ...${change} />`)}</tbody>
    </table>`;
}

/** One change. The `trend` of a changed outcome decides its color, so that a new 500 is not green. */
function Line({ path, kind, before, after, from, trend }) {
  const tone = trend === undefined ? "" : (trend ?? "plain");
  return html`<tr class=${kind}>
    <td class="mark" title=${kind}><span aria-hidden="true">${MARKS[kind]}</span><span class="sr">${kind}</span></td>
    <th scope="row">${visible(path || "(whole body)")}</th>
    <td>
      ${from !== undefined && html`<small class="dim">${visible(from || "(whole body)")}</small>${" "}`}
      ${before !== null && html`<del class=${tone && "plain"}>${visible(before)}</del>`}
    </td>
    <td>
      ${after !== null && html`<ins class=${tone}>${visible(after)}</ins>`}
      ${trend && html`${" "}<small class="dim">${trend}</small>`}
    </td>
  </tr>`;
}
