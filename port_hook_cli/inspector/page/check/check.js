// Check the handler: choose a request and a target, run, and see what the handler does wrong.
import { html, Button, Icon, useEffect, useRef, useState } from "../ui/ui.js";
import { get, postLines } from "../net/api.js";
import { duration, number, oneLine, visible } from "../ui/format.js";

const TYPING_MS = 200;
const MOST_TEXT = 2000;
const IDLE = { isRunning: false, isCanceled: false, begin: null, findings: [], summary: null, problem: null };
const NEWEST = "";
// The order of the findings: the most important first.
const STATUSES = {
  failed: { word: "failed", icon: "x", tone: "bad" },
  warning: { word: "warning", icon: "alert", tone: "warn" },
  information: { word: "information", icon: "flag", tone: "dim" },
  "not-observed": { word: "not observed", icon: "question", tone: "dim" },
  passed: { word: "passed", icon: "check", tone: "good" },
};
const NEED_SANDBOX = ["repeats", "reports"];
const ORDER = Object.keys(STATUSES);

/** The form and the check, which continue while the user looks at something else. */
export function useCheck() {
  const [form, setForm] = useState({ source: NEWEST, to: "", left: [] });
  const [state, setState] = useState(IDLE);
  const leaving = useRef(null);
  const run = async (wanted) => {
    const mine = new AbortController();
    leaving.current = mine;
    setState({ ...IDLE, isRunning: true });
    let problem = null;
    try {
      await postLines("/api/check", wanted, (record) => setState((old) => added(old, record)), mine.signal);
    } catch (error) {
      if (error.name !== "AbortError") problem = error;
    }
    const isCanceled = mine.signal.aborted;
    setState((old) => ({ ...old, isRunning: false, isCanceled, problem: problem ?? old.problem ?? early(old, isCanceled) }));
  };
  return { ...state, form, run, change: (fields) => setForm((old) => ({ ...old, ...fields })), cancel: () => leaving.current?.abort() };
}

function added(state, record) {
  if (record.type === "begin") return { ...state, begin: record };
  if (record.type === "summary") return { ...state, summary: record };
  if (record.type === "error") return { ...state, problem: { message: record.error, hint: record.hint } };
  return { ...state, findings: [...state.findings, record] };
}

function early({ summary }, isCanceled) {
  return summary || isCanceled ? null : { message: "The check ended early.", hint: "Is port-hook still running?" };
}

export function Check({ check, isEmpty, session, onOpen, onClose }) {
  const { form, change } = check;
  const [actions, setActions] = useState([]);
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  const heading = useRef(null);
  useEffect(() => heading.current?.focus(), []);
  useEffect(() => { get("/api/actions").then((each) => setActions(each.actions)).catch(setProblem); }, []);
  const groups = found?.groups ?? [];
  const only = groups.map((group) => group.name).filter((name) => !form.left.includes(name));
  const wanted = { ...sourceOf(form.source), ...(form.to ? { to: form.to } : {}), ...(form.left.length ? { skip: form.left } : {}) };
  const key = JSON.stringify(wanted);
  useEffect(() => {
    const leaving = new AbortController();
    const load = () => get("/api/check", wanted, leaving.signal)
      .then((each) => { setFound(each); setProblem(null); })
      .catch((error) => { if (error.name !== "AbortError") setProblem(error); });
    const timer = setTimeout(load, found ? TYPING_MS : 0);
    return () => {
      clearTimeout(timer);
      leaving.abort();
    };
  }, [key, isEmpty]);
  const plan = found?.plan;
  // A later capture may have arrived. The check uses the capture that the page shows.
  const run = () => check.run({ ...wanted, ...(plan.capture ? { capture: plan.capture } : {}) });
  const isReady = Boolean(plan) && only.length > 0 && session?.can.check !== false;
  return html`<section class="checks" aria-label="Check the handler">
    <header><h2 tabindex="-1" ref=${heading}>Check the handler</h2><${Button} icon="x" label="Back to the list" iconOnly onClick=${onClose} /></header>
    <p class="dim">Find the mistakes in your handler. A check sends it valid, forged, repeated and broken requests, and shows what is wrong and how to fix it.</p>
    <${Source} form=${form} plan=${plan} actions=${actions} change=${change} />
    <label class="field inline"><span>To</span><input type="text" placeholder=${plan?.target ?? "a port or URL on this machine"} value=${form.to} spellcheck=${false}
      onInput=${(event) => change({ to: event.currentTarget.value.trim() })} /></label>
    <fieldset class="form groups"><legend>Checks</legend>${groups.map((group) => html`<label class="field inline check" key=${group.name}>
      <input type="checkbox" checked=${!form.left.includes(group.name)} onChange=${(event) => change({ left: toggled(form.left, group.name, !event.currentTarget.checked) })} />
      <span>${group.name} <small class="dim">${group.about}</small></span></label>`)}</fieldset>
    ${(problem ?? found?.problem) && html`<p class="note bad" role="alert">${visible(problem?.message ?? found.problem.error)} ${visible(problem?.hint ?? found.problem.hint)}</p>`}
    ${plan && html`<p class="note">${plan.notes.map((note) => `${visible(note)} `)}${number(plan.checks)} checks. <b>The check sends about ${number(plan.valid_requests)} valid requests, and most of them start the handler's work.</b></p>`}
    <div class="send">
      <${Button} primary icon="play" label=${check.isRunning ? "Checking…" : plan ? `Run, and send about ${number(plan.valid_requests)} valid requests` : "Run"} disabled=${check.isRunning || !isReady} onClick=${run} title=${session?.why_not.check} />
      ${check.isRunning && html`<${Button} icon="x" label="Cancel" onClick=${check.cancel} />`}</div>
    <${Results} check=${check} onOpen=${onOpen} />
  </section>`;
}

function sourceOf(source) {
  const [kind, ...rest] = source.split(":");
  return source === NEWEST ? {} : { [kind]: rest.join(":") };
}

function toggled(names, name, isIn) {
  return isIn ? [...names, name] : names.filter((each) => each !== name);
}

function Source({ form, plan, actions, change }) {
  const { capture } = sourceOf(form.source);
  const newest = form.source === NEWEST && plan ? (plan.capture ? ` (${oneLine(plan.capture)})` : ` (none: ${oneLine(plan.name)})`) : "";
  return html`<label class="field inline"><span>Request</span><select value=${form.source} onChange=${(event) => change({ source: event.currentTarget.value })}>
    <option value=${NEWEST}>The latest capture with a valid signature${newest}</option>
    ${capture && html`<option value=${form.source}>The capture ${oneLine(capture)}</option>`}
    ${actions.map((action) => html`<option key=${action.identifier} value=${`action:${action.identifier}`}>The action ${oneLine(action.title ?? action.identifier)}, with sample inputs</option>`)}</select></label>`;
}

function Results({ check, onOpen }) {
  const { begin, findings, summary, problem, isRunning, isCanceled } = check;
  const names = [...new Set(findings.map((each) => each.group))];
  return html`
    ${problem && html`<p class="note bad" role="alert">${visible(problem.message)} ${visible(problem.hint)}</p>`}
    ${isCanceled && html`<p class="note" role="status">You canceled the check. The remaining requests were not sent.</p>`}
    ${begin && html`<p class="lead" role="status">${summary ? counted(summary) : isRunning ? "Checking " : "Checked "}<span class="mono">${oneLine(begin.target)}</span></p>`}
    ${isRunning && html`<progress aria-label="Completed checks" max=${begin?.checks ?? 1} value=${begin ? findings.length : undefined}></progress>
      ${begin && html` <small class="dim">${number(findings.length)} of ${number(begin.checks)} checks</small>`}`}
    ${begin && !begin.sees_reports && names.some((name) => NEED_SANDBOX.includes(name)) && html`<p class="note">No sandbox shows what the handler reports, so most checks of repeats and reports are not observed. Start the handler with the settings that <code>port-hook sandbox --inspect</code> prints, and check it from that page.</p>`}
    ${names.map((name) => html`<h3 key=${name}>${oneLine(name)}</h3><table class="findings" key=${`table ${name}`}><caption class="sr">Checks of the group ${oneLine(name)}</caption>
      <colgroup><col class="status-of" /><col /></colgroup><thead class="sr"><tr><th scope="col">Status</th><th scope="col">Finding</th></tr></thead>
      <tbody>${ordered(findings.filter((each) => each.group === name)).map((each) => html`<${Finding} key=${each.check} finding=${each} onOpen=${onOpen} />`)}</tbody></table>`)}`;
}

function counted(summary) {
  const parts = ["passed", "failed", "warning", "information", "not_observed"].filter((name) => summary[name]).map((name) => `${number(summary[name])} ${name.replace("_", " ")}`);
  return `${number(summary.checks)} checks in ${duration(summary.duration_s)}: ${parts.join(", ")}. `;
}

function ordered(findings) {
  return [...findings].sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
}

function Finding({ finding, onOpen }) {
  const look = STATUSES[finding.status] ?? { word: oneLine(finding.status), icon: "question", tone: "dim" };
  const text = (value) => visible(value).slice(0, MOST_TEXT);
  return html`<tr>
    <td><span class=${`verdict ${look.tone}`}><${Icon} name=${look.icon} size=${14} />${look.word}</span></td>
    <td>${finding.failure && html`<b>The handler ${text(finding.failure)}</b> `}<code>${oneLine(finding.check)}</code>
      <p>${text(finding.seen)}</p>
      ${finding.why && html`<p class="dim">${text(finding.why)}</p>`}
      ${finding.fix && html`<p><b>Fix:</b> ${text(finding.fix)}</p>`}
      ${finding.captures.length > 0 && html`<p class="proofs">${finding.captures.length > 1 ? "Requests:" : "Request:"} ${finding.captures.map((id) => html`<button type="button" class="link mono" key=${id} onClick=${() => onOpen(id)}>${oneLine(id)}</button>`)}</p>`}
    </td></tr>`;
}
