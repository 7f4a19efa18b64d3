// Two captures side by side: what changed in the body, the headers and the outcome.
import { html, Button, Icon, useEffect, useState } from "./ui.js";
import { get } from "./api.js";
import { oneLine, visible } from "./format.js";

const MARKS = { changed: "≠", added: "+", removed: "−" };

export function Comparison({ a, b, actions }) {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    setFound(null);
    setProblem(null);
    get("/api/compare", { a, b }).then(setFound).catch(setProblem);
  }, [a, b]);
  if (problem) return html`<p class="note bad" role="alert">${problem.message} ${problem.hint}</p>`;
  if (!found) return html`<p class="note">Comparing…</p>`;
  const isSame = !found.body.length && !found.headers.length && !found.facts.length;
  return html`<div class="comparison">
    <p class="lead"><button type="button" class="link mono" onClick=${() => actions.open(found.a)}>${oneLine(found.a)}</button> <${Icon} name="swap" /> <button type="button" class="link mono" onClick=${() => actions.open(found.b)}>${oneLine(found.b)}</button>
      <${Button} label="Swap" onClick=${() => actions.against(a, b)} /></p>
    ${isSame && html`<p class="note good">The two captures are the same.</p>`}
    ${found.note && html`<p class="note">${oneLine(found.note)}</p>`}
    <${Changes} title="Outcome" changes=${found.facts} />
    <${Changes} title="Body" changes=${found.body} />
    <${Changes} title="Headers" changes=${found.headers} />
    ${!found.complete && html`<p class="note">These are the first 500 changes.</p>`}
  </div>`;
}

function Changes({ title, changes }) {
  if (!changes.length) return null;
  return html`<h3>${title} <small class="dim">${changes.length}</small></h3>
    <table class="changes"><thead class="sr"><tr><th>Kind</th><th>Path</th><th>Before</th><th>After</th></tr></thead>
      <tbody>${changes.map((change) => html`<tr key=${change.path} class=${change.kind}>
        <td class="mark" title=${change.kind}><span aria-hidden="true">${MARKS[change.kind]}</span><span class="sr">${change.kind}</span></td>
        <th scope="row">${visible(change.path || "(whole body)")}</th>
        <td>${change.before !== null && html`<del>${visible(change.before)}</del>`}</td>
        <td>${change.after !== null && html`<ins>${visible(change.after)}</ins>`}</td></tr>`)}</tbody></table>`;
}
