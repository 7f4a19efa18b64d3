// Edit a body and send it: as JSON with the position of errors, or by the fields of its inputs.
import { html, Button, useEffect, useMemo, useRef, useState } from "./ui.js";
import { captureUrl, post } from "./api.js";
import { Body } from "./detail.js";
import { handlerText, latency, oneLine, statusTone, visible } from "./format.js";

const MOST_FORM_FIELDS = 60;

export function Editor({ capture, session, actions }) {
  const { body } = capture.request;
  const original = useMemo(() => pretty(body), [capture.row.id]);
  const [text, setText] = useState(original);
  const [to, setTo] = useState("");
  const [problem, setProblem] = useState(null);
  const [result, setResult] = useState(null);
  const [isSending, setSending] = useState(false);
  const area = useRef(null);
  const shown = useRef(null);
  useEffect(() => shown.current?.scrollIntoView({ block: "nearest" }), [result]);
  if (original === null) {
    return html`<p class="note">${body.is_whole ? "This body is not JSON text, so it cannot be edited here. Replay sends it unchanged." : "This body is too large to be edited here, or was not kept whole."}</p>`;
  }
  const fault = syntaxFault(text);
  const isSame = text === original;
  const send = async () => {
    setSending(true);
    setProblem(null);
    try {
      const wanted = { ...(isSame ? {} : { body: text }), ...(to ? { to } : {}) };
      setResult(await post(captureUrl(capture.row.id, "/replay"), wanted));
    } catch (error) {
      setProblem(error);
      if (error.line) select(area.current, error.line, error.column);
    } finally {
      setSending(false);
    }
  };
  return html`<div class="editor">
    <${Inputs} capture=${capture} text=${text} onChange=${setText} />
    <label class="field"><span>Body</span>
      <textarea ref=${area} spellcheck="false" rows=${Math.min(28, text.split("\n").length + 1)} value=${text} aria-invalid=${Boolean(fault)}
        onInput=${(event) => setText(event.currentTarget.value)}
        onKeyDown=${(event) => { if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) send(); if (event.key !== "Escape") event.stopPropagation(); }}></textarea></label>
    ${fault && html`<p class="note bad" role="alert">Not JSON: line ${fault.line}, column ${fault.column}. ${oneLine(fault.message)}
      <button type="button" class="link" onClick=${() => select(area.current, fault.line, fault.column)}>Go there</button></p>`}
    <div class="send sticky">
      <label class="field inline"><span>To</span><input type="text" placeholder=${capture.replay_to ?? "a port or URL on this machine"} value=${to}
        onInput=${(event) => setTo(event.currentTarget.value)} spellcheck="false" /></label>
      <${Button} primary icon="play" label=${isSending ? "Sending…" : isSame ? "Send unchanged" : "Send"} onClick=${send} disabled=${isSending || Boolean(fault) || session?.can.sign === false} title=${session?.why_not?.sign ?? "Ctrl+Enter"} />
      ${!isSame && html`<${Button} label="Reset" onClick=${() => { setText(original); setProblem(null); }} />`}
    </div>
    <p class="dim">The body is sent as JSON.stringify writes it, with a new timestamp and signature.</p>
    ${problem && html`<p class="note bad" role="alert">${problem.message} ${problem.hint}</p>`}
    ${result && html`<div class="replayed" ref=${shown}><header><h3>Replay</h3></header><${Result} capture=${capture} result=${result} actions=${actions} /></div>`}
  </div>`;
}

/** The old and the new response side by side. */
export function Result({ capture, result, actions }) {
  const now = result.delivery;
  return html`<section class="result" aria-label="Result" aria-live="polite">
    <div><h4>Before</h4>${capture.delivery || capture.response
      ? html`<p class="lead"><b class=${statusTone(capture.response?.status)}>${capture.response?.status ?? handlerText(capture.delivery)}</b>${capture.delivery && html` in ${latency(capture.delivery.latency_ms)}`}</p>
        <pre class="raw" tabindex="0">${visible((capture.response ?? capture.delivery).body.text ?? "(not text)") || "(empty)"}</pre>`
      : html`<p class="note">No response was recorded.</p>`}</div>
    <div><h4>Now</h4><p class="lead"><b class=${now.status === null ? "bad" : statusTone(now.status)}>${handlerText(now)}</b> in ${latency(now.latency_ms)}</p>
      ${now.error && html`<p class="note bad">${oneLine(now.error)}</p>`}
      <pre class="raw" tabindex="0">${visible(now.body.text ?? "(not text)") || "(empty)"}</pre>
      ${result.capture && html`<${Button} icon="compare" label="Compare the requests" onClick=${() => actions.against(result.capture, capture.row.id)} />`}</div>
    ${result.notes.map((note) => html`<p class="note" key=${note}>${oneLine(note)}</p>`)}
  </section>`;
}

/** The inputs as fields; each writes into the text. */
function Inputs({ capture, text, onChange }) {
  const document = useMemo(() => parsed(text), [text]);
  const place = placeOfInputs(document);
  if (!place || !capture.inputs.length) return null;
  const values = place.reduce((value, key) => value[key], document);
  const names = Object.keys(values).slice(0, MOST_FORM_FIELDS);
  const set = (name, value) => {
    const copy = structuredClone(document);
    place.reduce((inner, key) => inner[key], copy)[name] = value;
    onChange(JSON.stringify(copy, null, 2));
  };
  return html`<fieldset class="form"><legend>Inputs</legend>${names.map((name) => html`<${Input} key=${name} name=${name} value=${values[name]} onChange=${(value) => set(name, value)} />`)}</fieldset>`;
}

export function Input({ name, label, kind, value, onChange, options, help, required }) {
  // Until the user leaves the field, its text is only here: the page may be drawn again at any time, such as for a new capture.
  const [typed, setTyped] = useState(null);
  const title = html`<span>${oneLine(label ?? name)}${required ? " *" : ""}</span>`;
  if (options) {
    return html`<label class="field inline">${title}<select value=${JSON.stringify(value ?? null)} onChange=${(event) => onChange(JSON.parse(event.currentTarget.value))}>
      ${!required && html`<option value="null">–</option>`}${options.map((each) => html`<option key=${String(each)} value=${JSON.stringify(each)}>${oneLine(String(each))}</option>`)}</select>${help && html`<small class="dim">${oneLine(help)}</small>`}</label>`;
  }
  if (typeof value === "boolean") {
    return html`<label class="field inline check"><input type="checkbox" checked=${value} onChange=${(event) => onChange(event.currentTarget.checked)} />${title}</label>`;
  }
  const isPlain = typeof value === "string" || value === null || value === undefined;
  const read = (shown) => {
    if (kind === "number" || kind === "integer") return shown === "" ? null : Number(shown);
    if (isPlain) return shown;
    try { return JSON.parse(shown); } catch { return shown; }
  };
  return html`<label class="field inline">${title}<input type=${typeof value === "number" || kind === "number" || kind === "integer" ? "number" : "text"} step="any" value=${typed ?? (isPlain ? value ?? "" : JSON.stringify(value))}
    onKeyDown=${(event) => event.stopPropagation()} onInput=${(event) => setTyped(event.currentTarget.value)}
    onChange=${(event) => onChange(read(event.currentTarget.value))} onBlur=${() => setTyped(null)} />${help && html`<small class="dim">${oneLine(help)}</small>`}</label>`;
}

function placeOfInputs(document) {
  for (const place of [["payload", "properties"], ["inputs"], ["payload", "inputs"], ["properties"]]) {
    const found = place.reduce((value, key) => (value && typeof value === "object" ? value[key] : undefined), document);
    if (found && typeof found === "object" && !Array.isArray(found)) return place;
  }
  return null;
}

// A number that JavaScript would change keeps its text: the body is indented by its own tokens, never parsed and written.
function pretty(body) {
  if (body.text === null || !body.is_whole || body.type !== "json") return null;
  return indent(body.text);
}

/** Indent JSON text without reading its values. */
export function indent(text) {
  let depth = 0;
  let out = "";
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === "{" || token === "[") {
      depth += 1;
      out += token + (next === "}" || next === "]" ? "" : "\n" + pad(depth));
    } else if (token === "}" || token === "]") {
      depth -= 1;
      const before = tokens[index - 1];
      out += (before === "{" || before === "[" ? "" : "\n" + pad(depth)) + token;
    } else if (token === ",") out += ",\n" + pad(depth);
    else if (token === ":") out += ": ";
    else out += token;
  });
  return out;
}

function pad(depth) {
  return "  ".repeat(Math.min(depth, 40));
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return null; }
}

function syntaxFault(text) {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    const at = Number(/position (\d+)/.exec(error.message)?.[1] ?? text.length);
    const before = text.slice(0, at).split("\n");
    return { line: before.length, column: before.at(-1).length + 1, message: error.message.replace(/ in JSON at position.*| \(line.*/, "") };
  }
}

function select(area, line, column) {
  if (!area) return;
  const at = area.value.split("\n").slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
  area.focus();
  area.setSelectionRange(at, at + 1);
}
