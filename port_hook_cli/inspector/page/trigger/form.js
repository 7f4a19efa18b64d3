// @ts-check
// The form that triggers an action, a workflow or a workflow node from the user's files.
import { html, Button, useLayoutEffect, useRef, useState } from "../ui/ui.js";
import { get, post } from "../net/api.js";
import { Fields } from "../capture/input.js";
import { Drafts, useDraft } from "../ui/drafts.js";
import { latency, oneLine, visible } from "../ui/format.js";
import { Problem, Status } from "../ui/parts.js";
import { useResource } from "../ui/resource.js";
import { submitting, useTask } from "../ui/task.js";

/** @import { ActionForm, Sent } from "../net/types.js" */

const GROUPS = { action: "Actions", workflow: "Workflows", "workflow-node": "Workflow nodes" };

/** The values in each action's form, and the chosen action. */
const drafts = new Drafts(50);
const choice = new Drafts(1);

/** @param {{ mode?: string, onClose: () => void, onOpen: (id: string) => void }} props */
export function Trigger({ mode, onClose, onOpen }) {
  const { value, problem } = useResource((signal) => get("/api/actions", {}, signal), "actions");
  const [{ name }, choose] = useDraft(choice, "", { name: "" });
  /** @type {ActionForm[] | undefined} */
  const listed = value?.actions;
  // The sandbox runs a workflow only from its trigger.
  const actions = mode === "sandbox" ? listed?.filter(({ kind }) => kind !== "workflow-node") : listed;
  const action = actions?.find((each) => each.identifier === name) ?? actions?.[0];
  const first = useRef(/** @type {any} */ (null));
  // useEffect would run a frame later, and would take the focus from an input that the user is already filling in.
  useLayoutEffect(() => first.current?.focus(), [value]);
  return html`<div class="trigger">
    ${problem && html`<${Problem} problem=${problem} />`}
    ${actions && !action && html`<p class="note">
      ${mode === "sandbox" ? "The sandbox has no actions or workflows."
        : "To trigger actions or workflows, start the inspector with --actions PATH (a file or a folder)."}
    </p>`}
    ${action && html`<div class="field inline">
      <label for="trigger-action">Action or workflow</label>
      <select id="trigger-action" ref=${first} value=${action.identifier}
        onChange=${(event) => choose({ name: event.currentTarget.value })}>
        <${ActionOptions} actions=${actions} />
      </select>
    </div>
    <${Form} key=${action.identifier} action=${action} onClose=${onClose} onOpen=${onOpen} />`}
  </div>`;
}

/**
 * The actions and workflows as options of a `<select>`.
 * @param {{ actions: ActionForm[], prefix?: string, suffix?: string }} props
 */
export function ActionOptions({ actions, prefix = "", suffix = "" }) {
  const option = ({ identifier, title }) => html`
    <option key=${identifier} value=${prefix + identifier}>${oneLine(title ?? identifier)}${suffix}</option>`;
  return Object.entries(GROUPS).map(([kind, label]) => {
    const those = actions.filter((each) => each.kind === kind);
    return those.length > 0 && html`<optgroup key=${kind} label=${label}>${those.map(option)}</optgroup>`;
  });
}

function Form({ action, onClose, onOpen }) {
  const [values, change] = useDraft(drafts, action.identifier, defaults(action));
  const { isBusy, problem, run } = useTask();
  const [result, setResult] = useState(/** @type {Sent | null} */ (null));
  const send = submitting(() => run(async () => {
    setResult(null);
    const path = `/api/actions/${encodeURIComponent(action.identifier)}/trigger`;
    setResult(await post(path, { inputs: given(values) }));
  }));
  return html`<form onSubmit=${send}>
    ${action.description && html`<p class="dim">${visible(action.description)}</p>`}
    <${Fields} inputs=${action.inputs} values=${values} onChange=${(name, value) => change({ [name]: value })} />
    <div class="send">
      ${problem && html`<${Problem} problem=${problem} isTall />`}
      ${result && html`<p class="note" role="status">
        ${result.delivery && html`Response <${Status} of=${result.delivery} isPlain />${" "}
          in ${latency(result.delivery.latency_ms)}. ${" "}`}
        ${result.notes.map((each) => `${visible(each)} `)}
        ${result.capture && html`<button type="button" class="link" onClick=${() => onOpen(result.capture)}>
          Show the capture
        </button>`}
      </p>`}
      <${Button} primary submit icon="play" label=${isBusy ? "Sending…" : "Trigger"} disabled=${isBusy} />
      <${Button} label="Close" onClick=${onClose} />
    </div>
  </form>`;
}

function defaults(action) {
  const isFixed = (value) => value !== null && !(value instanceof Object && "jqQuery" in value);
  const fixed = action.inputs.filter((input) => isFixed(input.default));
  return Object.fromEntries(fixed.map((input) => [input.name, input.default]));
}

/**
 * Return only the inputs that have values.
 * @param {Record<string, any>} values
 */
export function given(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "" && value !== null));
}
