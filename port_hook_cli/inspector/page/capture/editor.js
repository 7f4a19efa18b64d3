// @ts-check
// Edits a body and sends it: as JSON, with the position of errors, or by the inputs of an action.
import { html, useEffect, useMemo, useRef, useState, Button } from "../ui/ui.js";
import { EDITED } from "./actions.js";
import { Inputs } from "./fields.js";
import { isJson, pretty } from "./json_text.js";
import { Result } from "./result.js";
import { captureUrl, post } from "../net/api.js";
import { Drafts, useDraft } from "../ui/drafts.js";
import { useWantedFocus } from "../ui/focus.js";
import { visible } from "../ui/format.js";
import { Problem } from "../ui/parts.js";
import { useResource } from "../ui/resource.js";
import { submitting, useTask } from "../ui/task.js";

/** @import { Capture, JsonProblem, Sent, Session } from "../net/types.js" */
/** @import { Actions } from "./actions.js" */
/** @typedef {{ capture: Capture, session: Session | null, actions: Actions }} Props */

const TYPING_MS = 200;
const MOST_LINES = 28;
const NOT_JSON = "This body isn't JSON, so you can't edit it here. Replay sends it unchanged.";
const NOT_WHOLE = "This body is too large to edit here, or the store doesn't have all of it.";

const drafts = new Drafts(20);

/** @param {Props} props */
export function Editor(props) {
  const { body } = props.capture.request;
  const original = useMemo(() => pretty(body), [props.capture.row.id]);
  if (original === null) return html`<p class="note">${body.is_whole ? NOT_JSON : NOT_WHOLE}</p>`;
  return html`<${Form} ...${props} original=${original} />`;
}

/** @param {Props & { original: string }} props */
function Form({ capture, session, actions, original }) {
  const [{ text, to }, change] = useDraft(drafts, capture.row.id, { text: original, to: "" });
  const { isBusy, problem, run, forgive } = useTask();
  const [result, setResult] = useState(/** @type {Sent | null} */ (null));
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const shown = useRef(/** @type {HTMLElement | null} */ (null));
  useWantedFocus(EDITED);
  const isFaulty = useMemo(() => !isJson(text), [text]);
  const load = (signal) => post("/api/json", { text }, signal);
  /** @type {{ value: { problem: JsonProblem | null } | null }} The place, as the server's parser says. */
  const { value: found } = useResource(load, isFaulty ? `text ${text}` : "", { pace_ms: TYPING_MS });
  const fault = found?.problem ?? null;
  useEffect(() => shown.current?.scrollIntoView({ block: "nearest" }), [result]);
  const isSame = text === original;
  const canSend = !isFaulty && session?.can.sign !== false;
  const send = submitting(() => {
    if (isFaulty && fault?.line) select(area.current, fault);
    if (!canSend) return;
    run(async () => {
      const wanted = { ...(isSame ? {} : { body: text }), ...(to ? { to } : {}) };
      setResult(await post(captureUrl(capture.row.id, "/replay"), wanted));
    });
  });
  useEffect(() => {
    if (problem?.line) select(area.current, problem);
  }, [problem]);
  const reset = () => {
    change({ text: original });
    forgive();
  };
  return html`<form class="editor" onSubmit=${send} onKeyDown=${onKey}>
    <${Inputs} capture=${capture} text=${text} onChange=${(each) => change({ text: each })} />
    <label class="field"><span>Body</span>
      <textarea
        ref=${area}
        value=${text}
        rows=${Math.min(MOST_LINES, text.split("\n").length + 1)}
        spellcheck=${false}
        aria-invalid=${isFaulty}
        aria-describedby=${isFaulty ? "fault" : undefined}
        onInput=${(event) => change({ text: event.currentTarget.value })}
      ></textarea>
    </label>
    <div class="send sticky">
      ${isFaulty && html`<${Fault} fault=${fault} onGo=${(each) => select(area.current, each)} />`}
      ${problem && html`<${Problem} problem=${problem} />`}
      <label class="field inline"><span>To</span>
        <input type="text" value=${to} spellcheck=${false}
          placeholder=${capture.replay_to ?? "a port or URL on this machine"}
          onInput=${(event) => change({ to: event.currentTarget.value })} />
      </label>
      <${Button} primary submit icon="play"
        label=${isBusy ? "Sending…" : isSame ? "Send unchanged" : "Send"}
        disabled=${isBusy || !canSend}
        title=${session?.why_not?.sign ?? "Ctrl+Enter"} />
      ${!isSame && html`<${Button} label="Reset" onClick=${reset} />`}
    </div>
    <p class="dim">port-hook sends the body in the form of JSON.stringify, with a new timestamp and signature.</p>
    ${result && html`<div class="replayed" ref=${shown}>
      <header><h3>Replay</h3></header>
      <${Result} capture=${capture} result=${result} actions=${actions} />
    </div>`}
  </form>`;
}

/** @param {{ fault: JsonProblem | null, onGo: (fault: JsonProblem) => void }} props */
function Fault({ fault, onGo }) {
  const isPlaced = fault !== null && fault.line > 0;
  return html`<p class="note bad" id="fault" role="status">
    Not JSON${isPlaced && `: line ${fault.line}, column ${fault.column}`}. ${fault && visible(fault.error)}
    ${isPlaced && html` <button type="button" class="link" onClick=${() => onGo(fault)}>Go there</button>`}
  </p>`;
}

function onKey(event) {
  const isTyping = event.target.matches("textarea, input:not([type=checkbox])");
  if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) {
    event.preventDefault();
    if (!event.repeat) event.currentTarget.requestSubmit();
  } else if (event.key === "Escape" && isTyping) {
    event.stopPropagation(); // the next Escape closes the capture
    document.getElementById("panel")?.focus();
  }
}

/** @param {HTMLTextAreaElement | null} area @param {{ line: number, column: number }} place */
function select(area, { line, column }) {
  if (!area) return;
  const lines = area.value.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  const at = before + [...lines[line - 1]].slice(0, column - 1).join("").length; // the server counts characters
  area.focus();
  area.setSelectionRange(at, at + 1);
  const height = parseFloat(getComputedStyle(area).lineHeight);
  area.scrollTop = Math.max(0, (line - 5) * height);
}
