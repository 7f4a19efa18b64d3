// One capture: its head, its parts as tabs, and what comes back when it is replayed.
import { html, memo, useEffect, useRef, Button, Icon } from "../ui/ui.js";
import { Body } from "./body.js";
import { Comparison } from "./diff.js";
import { Editor } from "./editor.js";
import { Responses } from "./response.js";
import { Result } from "./result.js";
import { Signature } from "./signature.js";
import { Summary } from "./summary.js";
import { CheckTab } from "../check/check.js";
import { captureUrl, get } from "../net/api.js";
import { Run } from "../run/run.js";
import { copy, download, say } from "../ui/copy.js";
import { ago, fullTime, nameOf, oneLine, statusTone, time, verdictOf } from "../ui/format.js";
import { useResource } from "../ui/resource.js";

const TABS = [
  ["summary", "Summary"], ["body", "Body"], ["signature", "Signature"], ["response", "Response"], ["run", "Run"], ["edit", "Edit and replay"],
  ["check", "Check"],
];

export const Detail = memo(({ id, tab, against, session, version, replayed, check, actions }) => {
  const { value: capture, problem } = useResource((signal) => get(captureUrl(id), {}, signal), id, { version });
  useEffect(() => document.querySelector('.tabs [aria-selected="true"]')?.scrollIntoView({ block: "nearest", inline: "nearest" }), [capture, tab, against]);
  if (problem) {
    return html`<section class="detail" aria-label="Capture"><div class="panel"><p class="note bad" role="alert">${problem.message} ${problem.hint}</p>
      <${Button} icon="back" label="Back to the list" onClick=${actions.close} /></div></section>`;
  }
  if (!capture) return html`<section class="detail" aria-busy="true" aria-label="Capture"></section>`;
  const shown = against ? "compare" : TABS.some(([name]) => name === tab) ? tab : "summary";
  return html`<section class="detail" aria-label="Capture">
    <${Head} capture=${capture} session=${session} actions=${actions} />
    <div class="tabs" role="tablist" aria-label="Parts of the capture">
      ${TABS.map(([name, label]) => html`<button type="button" role="tab" key=${name} id=${`tab-${name}`} aria-selected=${shown === name}
        aria-controls="panel" tabindex=${shown === name ? 0 : -1} onClick=${() => actions.tab(name)} onKeyDown=${(event) => onTabKey(event, name, actions)}>${label}</button>`)}
      ${against && html`<button type="button" role="tab" id="tab-compare" aria-selected="true" aria-controls="panel">Comparison</button>`}
    </div>
    <div class="panel" id="panel" role="tabpanel" aria-labelledby=${`tab-${shown}`} tabindex="0">
      ${replayed && shown !== "edit" && html`<${Replayed} capture=${capture} replayed=${replayed} actions=${actions} />`}
      ${shown === "summary" && html`<${Summary} capture=${capture} session=${session} actions=${actions} />`}
      ${shown === "body" && html`<${Body} id=${capture.row.id} part="request" body=${capture.request.body} headers=${capture.request.headers} />`}
      ${shown === "signature" && html`<${Signature} verdict=${capture.verdict} />`}
      ${shown === "response" && html`<${Responses} capture=${capture} />`}
      ${shown === "run" && html`<${Run} capture=${capture} session=${session} />`}
      ${shown === "edit" && html`<${Editor} key=${capture.row.id} capture=${capture} session=${session} actions=${actions} />`}
      ${shown === "check" && html`<${CheckTab} capture=${capture} check=${check} session=${session} />`}
      ${shown === "compare" && html`<${Comparison} a=${against} b=${capture.row.id} actions=${actions} />`}
    </div>
  </section>`;
});

/** What came back when this capture was replayed, beside what came back before. */
function Replayed({ capture, replayed, actions }) {
  const box = useRef(null);
  useEffect(() => box.current?.scrollIntoView({ block: "nearest" }), [replayed]);
  return html`<div class="replayed" ref=${box}><header><h3>Replay</h3><${Button} icon="x" label="Dismiss the replay" iconOnly onClick=${actions.dismiss} /></header>
    ${replayed.problem && html`<p class="note bad" role="alert">${replayed.problem.message} ${replayed.problem.hint}</p>`}
    ${replayed.sent ? html`<${Result} capture=${capture} result=${replayed.sent} actions=${actions} />` : !replayed.problem && html`<p class="dim" role="status">Sending…</p>`}</div>`;
}

function onTabKey(event, name, actions) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const names = TABS.map(([each]) => each);
  const next = names[(names.indexOf(name) + step + names.length) % names.length];
  actions.tab(next);
  event.preventDefault();
  event.stopPropagation();
  requestAnimationFrame(() => document.getElementById(`tab-${next}`)?.focus());
}

function Head({ capture, actions }) {
  const { row } = capture;
  const verdict = verdictOf(row.verdict);
  return html`<header class="head">
    <div class="title">
      <${Button} icon="back" label="Back to the list" iconOnly onClick=${actions.close} />
      <h2 title=${nameOf(row).slice(0, 300)}>${nameOf(row).slice(0, 300)}</h2>
      ${row.operation && html`<small class="tag">${oneLine(row.operation)}</small>`}
      <span class=${`verdict ${verdict.tone}`} title=${verdict.about}><${Icon} name=${verdict.icon} size=${14} />${verdict.word}</span>
      ${row.response !== null && html`<b class=${`pill ${statusTone(row.response)}`}>${row.response}</b>`}
    </div>
    <p class="under"><span title=${fullTime(row.received_at)}>${time(row.received_at)}, ${ago(row.received_at)}</span>
      <span class="mono">${row.message ? `kafka ${oneLine(row.message)}`.slice(0, 120) : `${oneLine(row.method)} ${oneLine(row.target).slice(0, 120)}`}</span>
      <button type="button" class="id mono" title="Copy the capture's id" onClick=${() => copy(row.id, "Copied the id.")}>${oneLine(row.id)}</button></p>
    <div class="actions" role="toolbar" aria-label="Actions">
      <${Button} icon="replay" label="Replay" primary onClick=${() => actions.replay(row.id)} title="Sign it again and send it (r)" />
      <${Button} icon="edit" label="Edit" onClick=${() => actions.tab("edit")} title="Edit and send it (e)" />
      <${Button} icon="compare" label="Compare" onClick=${() => actions.compare(row.id)} title="Compare with the marked capture (d)" />
      <${Button} icon="copy" label="curl" onClick=${() => actions.curl(row.id)} title="Copy as a curl command (c)" />
      <${Export} capture=${capture} />
    </div>
  </header>`;
}

function Export({ capture }) {
  const run = (event) => {
    const name = event.currentTarget.value;
    event.currentTarget.value = "";
    if (!name) return;
    get(captureUrl(capture.row.id, `/export/${name}`)).then((found) => download(found.filename, found.text)).catch((error) => say(error.message));
  };
  return html`<label class="select">
    <select aria-label="Export as" value="" onChange=${run}><option value="">Export…</option>
      ${capture.exports.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></label>`;
}
