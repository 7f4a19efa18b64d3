// @ts-check
// The form for a check: the request, the target, the groups of checks, and the inputs of an action.
import { html, Button } from "../ui/ui.js";
import { LATEST } from "./state.js";
import { get } from "../net/api.js";
import { Fields } from "../capture/input.js";
import { ActionOptions, given } from "../trigger/form.js";
import { number, oneLine } from "../ui/format.js";
import { Problem, WithCode } from "../ui/parts.js";
import { useResource } from "../ui/resource.js";
import { submitting } from "../ui/task.js";

/** @import { ActionForm, Plan, Planned, Session } from "../net/types.js" */
/** @import { CheckState, Chosen } from "./state.js" */

const TYPING_MS = 200;

/**
 * @param {{ check: CheckState, source: string, actions: ActionForm[], session: Session | null, version?: unknown,
 *   children?: (plan: Plan | null) => any }} props `children` draws the choice of the request
 */
export function CheckForm({ check, source, actions, session, version, children }) {
  const { form, change } = check;
  const wanted = {
    ...sourceOf(source),
    ...(form.to ? { to: form.to } : {}),
    ...(form.left.length ? { skip: form.left } : {}),
  };
  // The last plan stays visible until the next plan arrives.
  /** @type {{ value: Planned | null, problem: any }} */
  const { value: found, problem } = useResource((signal) => get("/api/check", wanted, signal), "check", {
    version: `${version} ${JSON.stringify(wanted)}`,
    pace_ms: TYPING_MS,
  });
  const { plan, groups } = found ?? { plan: null, groups: [] };
  const action = actions.find(({ identifier }) => source === `action:${identifier}`);
  const inputs = (action && form.inputs[action.identifier]) ?? {};
  const isReady = plan && groups.some(({ name }) => !form.left.includes(name)) && session?.can.check !== false;
  const run = submitting(() => {
    if (!isReady || check.isRunning) return;
    // A later capture may have arrived. The check uses the capture that the page shows.
    const shown = source === LATEST && plan.capture ? { capture: plan.capture } : {};
    check.run({ ...wanted, ...shown, ...(action ? { inputs: given(inputs) } : {}) });
  });
  const fault = problem ?? (found?.problem && { ...found.problem, message: found.problem.error });
  return html`<form onSubmit=${run} onKeyDown=${keepFromRunning}>
    ${children?.(plan)}
    ${action && action.inputs.length > 0 && html`<${Fields}
      inputs=${action.inputs.map((input) => ({ ...input, required: false }))}
      values=${inputs}
      note="Inputs without a value get sample values."
      onChange=${(name, value) => change({
        inputs: { ...form.inputs, [action.identifier]: { ...inputs, [name]: value } },
      })}
    />`}
    <label class="field inline"><span>To</span>
      <input type="text" value=${form.to} spellcheck=${false}
        placeholder=${plan?.target ?? "a port or URL on this machine"}
        onInput=${(event) => change({ to: event.currentTarget.value.trim() })} />
    </label>
    <fieldset class="form groups">
      <legend>Checks</legend>
      ${groups.map(({ name, about }) => html`<label class="field inline check" key=${name}>
        <input type="checkbox" checked=${!form.left.includes(name)}
          onChange=${(event) => change({ left: toggled(form.left, name, !event.currentTarget.checked) })} />
        <span>${name} <small class="dim">${about}</small></span>
      </label>`)}
    </fieldset>
    ${fault && html`<${Problem} problem=${fault} />`}
    ${plan && html`<p class="note">
      ${plan.notes.map((note) => html`<${WithCode} text=${`${note} `} />`)}
      ${number(plan.checks)} checks. <b>A handler that does not verify requests starts its work about${" "}
      ${number(plan.works)} times.</b>
    </p>`}
    <div class="send">
      <${Button} primary submit icon="play" label=${runLabel(check, plan)} disabled=${check.isRunning || !isReady}
        title=${session?.why_not.check ?? undefined} />
      ${check.isRunning && html`<${Button} icon="x" label="Cancel" onClick=${check.cancel} />`}
    </div>
  </form>`;
}

function runLabel(check, plan) {
  if (check.isRunning) return "Checking…";
  return plan ? `Run, and start work up to ${number(plan.works)} times` : "Run";
}

/** Ignore Enter in a checkbox, because a check starts real work. */
function keepFromRunning(event) {
  if (event.key === "Enter" && event.target.type === "checkbox") event.preventDefault();
}

function sourceOf(source) {
  const [kind, ...rest] = source.split(":");
  return source === LATEST ? {} : { [kind]: rest.join(":") };
}

function toggled(names, name, isIn) {
  return isIn ? [...names, name] : names.filter((each) => each !== name);
}

/**
 * @param {{ source: string, plan: Plan | null, actions: ActionForm[],
 *   change: (fields: Partial<Chosen>) => void }} props
 */
export function Source({ source, plan, actions, change }) {
  const capture = source.startsWith("capture:") ? source.slice("capture:".length) : "";
  const name = plan && (plan.capture ? ` (${oneLine(plan.capture)})` : ` (none: ${oneLine(plan.name)})`);
  return html`<label class="field inline"><span>Request</span>
    <select value=${source} onChange=${(event) => change({ source: event.currentTarget.value })}>
      <option value=${LATEST}>The latest capture with a valid signature${source === LATEST && name}</option>
      ${capture && html`<option value=${source}>The capture ${oneLine(capture)}</option>`}
      <${ActionOptions} actions=${actions} prefix="action:" suffix=", from its file" />
    </select></label>`;
}
