// @ts-check
// Reports a run, like `port-hook report-run`. The report of a node run also has a level and an output.
import { html, Button, useState } from "../ui/ui.js";
import { post } from "../net/api.js";
import { Problem } from "../ui/parts.js";
import { submitting, useTask } from "../ui/task.js";

const LEVELS = ["INFO", "WARN", "ERROR", "DEBUG"];
const EMPTY = { message: "", level: "INFO", output: "", summary: "", link: "" };

/** @param {{ id: string, workflowRun?: string, onDone: () => void }} props */
export function Report({ id, workflowRun, onDone }) {
  const isNode = id.startsWith("wfnr_");
  const failure = isNode ? "Failed" : "Failure";
  const [values, setValues] = useState(EMPTY);
  const { isBusy, problem, run } = useTask();
  const set = (/** @type {Event} */ event) => {
    const { name, value } = /** @type {HTMLInputElement} */ (event.currentTarget);
    setValues({ ...values, [name]: value });
  };
  const send = (/** @type {string | null} */ status) => run(async () => {
    const { message, level, output, summary, link } = values;
    const only = isNode ? { level: message && level, output } : { summary };
    const body = { status, message, link: link.split(/\s+/).filter(Boolean), workflow_run: workflowRun, ...only };
    await post(`/api/runs/${encodeURIComponent(id)}/report`, body);
    setValues(EMPTY);
    onDone();
  });
  const sendLog = submitting(() => { if (values.message) send(null); });
  return html`<form class="form report" onSubmit=${sendLog}>
    <h3>Report this ${isNode ? "node" : "run"}</h3>
    <div class="report-fields">
      <label class="field"><span>Log message</span>
        <input type="text" name="message" value=${values.message} onInput=${set} /></label>
      ${isNode && html`<label class="field level"><span>Level</span>
        <select name="level" value=${values.level} onChange=${set}>
          ${LEVELS.map((level) => html`<option key=${level}>${level}</option>`)}</select></label>`}
      ${isNode
        ? html`<label class="field wide"><span>Output (a JSON object for later nodes)</span>
            <textarea name="output" rows="2" spellcheck=${false} value=${values.output} onInput=${set} /></label>`
        : html`<label class="field"><span>Summary</span>
            <input type="text" name="summary" value=${values.summary} onInput=${set} /></label>`}
      <label class="field wide"><span>Links (URLs)</span>
        <input type="text" name="link" value=${values.link} onInput=${set} />
      </label>
    </div>
    <div class="send">
      <button type="submit" class="button" disabled=${isBusy || !values.message}>Log only</button>
      <${Button} label="Success" primary icon="check" disabled=${isBusy} onClick=${() => send("SUCCESS")} />
      <${Button} label=${failure} icon="x" disabled=${isBusy} onClick=${() => send("FAILURE")} />
      ${isNode && html`<${Button} label="Cancelled" disabled=${isBusy} onClick=${() => send("CANCELLED")} />`}
    </div>
    ${problem && html`<${Problem} problem=${problem} />`}
  </form>`;
}
