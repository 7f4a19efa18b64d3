// One capture: what it is, its signature step by step, its body, what came back, and its run.
import { html, memo, Button, Icon, useEffect, useRef, useState } from "./ui.js";
import { captureUrl, get, getBytes, post } from "./api.js";
import { copy, download, say } from "./copy.js";
import { Editor, Result } from "./editor.js";
import { Comparison } from "./diff.js";
import { Run } from "./run.js";
import { Tree } from "./tree.js";
import { ago, bytes, clockTime, duration, fullTime, handlerText, isPending, nameOf, number, oneLine, responseText, statusTone, time, took, verdictOf, visible } from "./format.js";

export const TABS = [
  ["summary", "Summary"], ["body", "Body"], ["signature", "Signature"], ["response", "Response"], ["run", "Run"], ["edit", "Edit and replay"],
];

export const Detail = memo(({ id, tab, against, session, version, replayed, actions }) => {
  const [capture, setCapture] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    const leaving = new AbortController();
    get(captureUrl(id), {}, leaving.signal)
      .then((found) => { setCapture(found); setProblem(null); })
      .catch((error) => { if (error.name !== "AbortError") setProblem(error); });
    return () => leaving.abort();
  }, [id, version]);
  useEffect(() => document.querySelector('.tabs [aria-selected="true"]')?.scrollIntoView({ block: "nearest", inline: "nearest" }), [capture, tab, against]);
  if (problem) {
    return html`<section class="detail" aria-label="Capture"><div class="panel"><p class="note bad" role="alert">${problem.message} ${problem.hint}</p>
      <${Button} icon="back" label="Back to the list" onClick=${actions.close} /></div></section>`;
  }
  if (!capture || !matches(capture, id)) return html`<section class="detail" aria-busy="true" aria-label="Capture"></section>`;
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

function matches(capture, id) {
  return id === "last" || capture.row.id.startsWith(id);
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

function Summary({ capture, session, actions }) {
  const { row, verdict, delivery, response } = capture;
  const look = verdictOf(verdict.status);
  return html`
    <ol class="way" aria-label="The path of this request">
      <li class="dim"><${Icon} name="download" /><div><b>Received</b><p>${bytes(capture.request.body.bytes)} at ${clockTime(row.received_at)}</p></div></li>
      <li class=${look.tone}><${Icon} name=${look.icon} /><div><b>Signature ${look.word}</b><p>${look.about}</p></div></li>
      ${delivery
        ? html`<li class=${delivery.status === null ? "bad" : statusTone(delivery.status)}><${Icon} name="play" /><div><b>Handler ${handlerText(delivery)} ${took(delivery)}</b><p class="mono">${oneLine(delivery.url)}</p></div></li>`
        : html`<li class="dim"><${Icon} name="minus" /><div><b>${isPending(row) ? "Waiting for the handler" : "Not forwarded"}</b><p>${response ? "The listener responded itself." : "No response was recorded."}</p></div></li>`}
      <li class=${statusTone(response?.status)}><${Icon} name="flag" /><div><b>${response ? `Port got ${response.status}` : isPending(row) ? "Port got no response yet" : "No response"}</b>
        ${capture.simulated && html`<p class="warn">Simulated: ${oneLine(capture.simulated.text)}</p>`}
        ${capture.fate && html`<p>${sentence(capture.fate)}</p>`}</div></li>
    </ol>
    <${Causes} causes=${verdict.causes} tone=${look.tone} />
    <h3>Facts</h3>
    <dl class="facts">${capture.summary.map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd>${oneLine(value)}</dd></div>`)}
</dl>
    ${capture.inputs.length > 0 && html`<h3>Inputs</h3><table class="inputs"><tbody>${capture.inputs.map((input) => html`<tr key=${input.name}>
      <th scope="row">${oneLine(input.name)}</th><td class=${`value ${input.type}`}>${visible(input.text)}</td></tr>`)}</tbody></table>`}
    ${capture.changes.length > 0 && html`<h3>Changes of the entity</h3><table class="inputs"><tbody>${capture.changes.map((change) => html`<tr key=${change.path}>
      <th scope="row">${oneLine(change.path)}</th><td><del>${visible(change.before)}</del> <ins>${visible(change.after)}</ins></td></tr>`)}</tbody></table>`}
    ${capture.encrypted.length > 0 && html`<${Encrypted} capture=${capture} session=${session} />`}
    ${capture.replays.length > 0 && html`<h3>Replays</h3><ul class="replays">${capture.replays.map((replay) => html`<li key=${replay.id}>
      <button type="button" class="link" onClick=${() => actions.open(replay.id)}>${time(replay.received_at)} <span class="mono">${oneLine(replay.id)}</span></button>
      <b class=${`pill ${replay.handler?.status === null ? "bad" : statusTone(replay.response)}`}>${responseText(replay)}</b>
      <${Button} icon="compare" label="Compare with the original" iconOnly onClick=${() => actions.against(replay.id, row.id)} /></li>`)}</ul>`}
    ${row.replay_of && html`<p class="note">This is a replay of <button type="button" class="link mono" onClick=${() => actions.open(row.replay_of)}>${oneLine(row.replay_of)}</button>.
      <button type="button" class="link" onClick=${() => actions.against(row.id, row.replay_of)}>Compare the two</button></p>`}`;
}

function sentence(text) {
  const shown = visible(text);
  return shown.charAt(0).toUpperCase() + shown.slice(1) + (/[.!?]$/.test(shown) ? "" : ".");
}

export function Causes({ causes, tone }) {
  if (!causes.length) return null;
  return html`<div class="causes">${causes.map((cause) => html`<article key=${cause.slug} class=${`cause ${tone}`}>
    <h4>${sentence(cause.explanation)}</h4><p><b>Fix:</b> ${sentence(cause.fix)}</p><code>${oneLine(cause.slug)}</code></article>`)}</div>`;
}

function Encrypted({ capture, session }) {
  const [values, setValues] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => setValues(null), [capture.row.id]);
  const decrypt = () => post(captureUrl(capture.row.id, "/decrypt"), {}).then((found) => setValues(found.values)).catch(setProblem);
  return html`<h3>Encrypted inputs</h3>
    ${values
      ? html`<table class="inputs"><tbody>${values.map((each) => html`<tr key=${each.path}><th scope="row">${oneLine(each.path)}</th>
          <td>${each.problem ? html`<span class="bad">${oneLine(each.problem)}</span>` : html`<span class="decrypted">${visible(each.text)}</span>`}</td></tr>`)}</tbody></table>
          <${Button} label="Hide" icon="lock" onClick=${() => setValues(null)} />`
      : html`<p class="mono">${capture.encrypted.map(oneLine).join(", ")}</p>
          <${Button} label="Decrypt here" icon="lock" onClick=${decrypt} disabled=${session?.can.decrypt === false} title=${session?.why_not.decrypt} />
          <small class="dim"> in memory only; nothing is saved</small>`}
    ${problem && html`<p class="note bad">${problem.message} ${problem.hint}</p>`}`;
}

function Signature({ verdict }) {
  const look = verdictOf(verdict.status);
  const { parts } = verdict;
  const isSame = parts.expected !== null && parts.expected === parts.received;
  const signed = verdict.reading === "kafka" ? "message without its two signature headers" : null;
  return html`
    <p class=${`lead ${look.tone}`}><${Icon} name=${look.icon} /> ${signed && verdict.status === "valid" ? `The signature matches the ${signed}.` : look.about}${verdict.reading && verdict.status === "reencoded" && html` It matches the form <code>${oneLine(verdict.reading)}</code>.`}</p>
    <${Causes} causes=${verdict.causes} tone=${look.tone} />
    <h3>How it was computed</h3>
    <ol class="steps">
      <li><b>Timestamp</b><code>${oneLine(parts.timestamp ?? "missing")}</code>
        ${parts.timestamp_at !== null && html`<small class="dim">${fullTime(parts.timestamp_at)}${verdict.age_s !== null && html`, ${duration(verdict.age_s)} ${verdict.age_s >= 0 ? "before" : "after"} it arrived`}</small>`}</li>
      <li><b>Signed text</b><code class="block" tabindex="0" role="region" aria-label="Signed text">${visible(parts.signed_text)}</code><small class="dim">timestamp, a period and the ${signed ?? "raw body"}: ${number(parts.signed_bytes)} bytes</small></li>
      <li><b>HMAC-SHA-256</b><small class="dim">with the client secret, in Base64, after "v1,"</small></li>
      <li><b>Received</b><code class=${isSame ? "good" : "bad"}>${oneLine(parts.received ?? "missing")}</code></li>
      <li><b>Expected</b>${parts.expected ? html`<code class="good">${oneLine(parts.expected)}</code>` : html`<small class="dim">${parts.note ?? "not known"}</small>`}
        ${isSame && html`<small class="good">the same</small>`}</li>
    </ol>`;
}

export function Body({ id, part, body, headers }) {
  const [view, setView] = useState(body.type === "json" && !body.problem ? "tree" : "raw");
  const save = () => getBytes(captureUrl(id, "/body"), { part }).then((found) => download(`${part}.bin`, found)).catch((error) => say(error.message));
  return html`<div class="body">
    <div class="switch" role="group" aria-label="View">
      ${body.type === "json" && !body.problem && html`<${Button} label="Tree" pressed=${view === "tree"} onClick=${() => setView("tree")} />`}
      <${Button} label="Raw" pressed=${view === "raw"} onClick=${() => setView("raw")} />
      ${headers && html`<${Button} label=${`Headers (${headers.length})`} pressed=${view === "headers"} onClick=${() => setView("headers")} />`}
      <span class="dim">${bytes(body.bytes)}</span>
      <button type="button" class="link" title="Download the exact bytes" onClick=${save}>Download</button>
    </div>
    ${body.problem && html`<p class="note">The body is ${oneLine(body.problem)}.</p>`}
    ${view === "tree" && html`<${Tree} id=${id} part=${part} />`}
    ${view === "raw" && html`<${Raw} body=${body} />`}
    ${view === "headers" && html`<${Headers} headers=${headers} />`}
  </div>`;
}

function Raw({ body }) {
  if (body.bytes === 0) return html`<p class="note">The body is empty.</p>`;
  const text = body.text === null ? body.hex.join("\n") : visible(body.text);
  return html`<pre class="raw" tabindex="0">${text}</pre>
    ${!body.is_whole && html`<p class="note">Only the beginning of ${bytes(body.bytes)} is shown.${body.kept < body.bytes ? ` The store kept ${bytes(body.kept)}, because the request was refused.` : ""}</p>`}`;
}

export function Headers({ headers }) {
  if (!headers.length) return html`<p class="note">There are no header fields.</p>`;
  return html`<table class="headers"><tbody>${headers.map(([name, value], index) => html`<tr key=${index}><th scope="row">${oneLine(name)}</th><td>${oneLine(value)}</td></tr>`)}</tbody></table>`;
}

function Responses({ capture }) {
  const { delivery, response, row } = capture;
  return html`
    <h3>From your handler</h3>
    ${delivery
      ? html`<p class="lead"><b class=${delivery.status === null ? "bad" : statusTone(delivery.status)}>${handlerText(delivery)}</b> ${took(delivery)} from <span class="mono">${oneLine(delivery.url)}</span></p>
          ${delivery.error && html`<p class="note bad">${sentence(delivery.error)}</p>`}
          <${Body} id=${row.id} part="delivery" body=${delivery.body} headers=${delivery.headers} />`
      : html`<p class="note">${isPending(row) ? "The handler has not responded yet." : "The request was not forwarded."}</p>`}
    <h3>To Port</h3>
    ${capture.simulated && html`<p class="note warn">Simulated: ${oneLine(capture.simulated.text)}</p>`}
    ${response
      ? html`<p class="lead"><b class=${statusTone(response.status)}>${response.status}</b></p>${capture.fate && html`<p class="note">${sentence(capture.fate)}</p>`}
          <${Body} id=${row.id} part="response" body=${response.body} headers=${response.headers} />`
      : html`<p class="note">No response was recorded.</p>`}`;
}
