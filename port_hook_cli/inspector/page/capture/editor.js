// Edit a body and send it: as JSON with the position of errors, or by the fields of its inputs.
import { html, useEffect, useMemo, useRef, useState, Button } from "../ui/ui.js";
import { Inputs } from "./fields.js";
import { pretty, syntaxFault } from "./json_text.js";
import { Result } from "./result.js";
import { captureUrl, post } from "../net/api.js";
import { oneLine } from "../ui/format.js";

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

function select(area, line, column) {
  if (!area) return;
  const at = area.value.split("\n").slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
  area.focus();
  area.setSelectionRange(at, at + 1);
}
