// Two captures side by side: what changed in the body, the headers and the outcome.
import { html, Button, Icon } from "../ui/ui.js";
import { get } from "../net/api.js";
import { nameOf, oneLine, time, visible } from "../ui/format.js";
import { useResource } from "../ui/resource.js";

const MARKS = { changed: "≠", added: "+", removed: "−", moved: "→" };

export function Comparison({ a, b, actions }) {
  const { value: found, problem } = useResource((signal) => get("/api/compare", { a, b }, signal), `${a} ${b}`);
  if (problem) return html`<p class="note bad" role="alert">${problem.message} ${problem.hint}</p>`;
  if (!found) return html`<p class="note">Comparing…</p>`;
  const isSame = !found.body.length && !found.headers.length && !found.facts.length;
  return html`<div class="comparison">
    <div class="sides"><${Side} label="Before" side=${found.a} actions=${actions} /><${Icon} name="chevron" /><${Side} label="After" side=${found.b} actions=${actions} />
      <${Button} icon="swap" label="Swap" onClick=${() => actions.against(a, b)} /></div>
    ${isSame && html`<p class="note good">The two captures are the same.</p>`}
    ${found.note && html`<p class="note">${oneLine(found.note)}</p>`}
    <${Changes} title="Outcome" changes=${found.facts} />
    <${Changes} title="Body" changes=${found.body} />
    <${Changes} title="Headers" changes=${found.headers} />
    ${!found.complete && html`<p class="note">These are the first 500 changes.</p>`}
  </div>`;
}

/** One of the two captures: its row, or its id alone. */
function Side({ label, side, actions }) {
  const id = side.id ?? side;
  return html`<div><small>${label}</small><button type="button" class="link mono" onClick=${() => actions.open(id)}>${oneLine(id)}</button>
    ${side.id && html`<small class="dim">${nameOf(side)}, ${time(side.received_at)}</small>`}</div>`;
}

function Changes({ title, changes }) {
  if (!changes.length) return null;
  return html`<h3>${title} <small class="tag">${changes.length}</small></h3>
    <table class="changes"><colgroup><col class="mark" /><col class="path" /><col /><col /></colgroup><thead class="sr"><tr><th>Kind</th><th>Path</th><th>Before</th><th>After</th></tr></thead>
      <tbody>${changes.map((change) => html`<tr key=${change.path} class=${change.kind}>
        <td class="mark" title=${change.kind}><span aria-hidden="true">${MARKS[change.kind]}</span><span class="sr">${change.kind}</span></td>
        <th scope="row">${visible(change.path || "(whole body)")}</th>
        <td>${change.from !== undefined && html`<small class="dim">${visible(change.from || "(whole body)")}</small> `}${change.before !== null && html`<del>${visible(change.before)}</del>`}</td>
        <td>${change.after !== null && html`<ins>${visible(change.after)}</ins>`}</td></tr>`)}</tbody></table>`;
}
