// Trigger an action of the user's files by its form.
import { html, Button, useEffect, useLayoutEffect, useRef, useState } from "../ui/ui.js";
import { get, post } from "../net/api.js";
import { Input } from "../capture/fields.js";
import { handlerText, latency, oneLine, statusTone, visible } from "../ui/format.js";

export function Trigger({ onClose, onOpen }) {
  const [actions, setActions] = useState(null);
  const [name, setName] = useState("");
  const [values, setValues] = useState({});
  const [problem, setProblem] = useState(null);
  const [result, setResult] = useState(null);
  const first = useRef(null);
  // useEffect would run a frame later, and take the focus from an input that the user is already filling in.
  useLayoutEffect(() => first.current?.focus(), [actions]);
  useEffect(() => {
    get("/api/actions").then((found) => {
      setActions(found.actions);
      choose(found.actions, found.actions[0]?.identifier ?? "");
    }).catch(setProblem);
  }, []);
  const choose = (all, identifier) => {
    const action = all.find((each) => each.identifier === identifier);
    setName(identifier);
    setValues(Object.fromEntries((action?.inputs ?? []).filter((input) => plain(input.default) !== undefined).map((input) => [input.name, input.default])));
    setResult(null);
    setProblem(null);
  };
  const action = actions?.find((each) => each.identifier === name);
  const send = async () => {
    setProblem(null);
    try {
      setResult(await post(`/api/actions/${encodeURIComponent(name)}/trigger`, { inputs: given(values) }));
    } catch (error) {
      setProblem(error);
    }
  };
  return html`<div class="trigger">
    ${actions && !actions.length && html`<p class="note">To trigger actions here, start the inspector with --actions PATH (a file or a folder).</p>`}
    ${action && html`
      <label class="field inline"><span>Action</span><select ref=${first} value=${name} onChange=${(event) => choose(actions, event.currentTarget.value)}>
        ${actions.map((each) => html`<option key=${each.identifier} value=${each.identifier}>${oneLine(each.title ?? each.identifier)}</option>`)}</select></label>
      ${action.description && html`<p class="dim">${visible(action.description)}</p>`}
      <fieldset class="form"><legend>Inputs</legend>${action.inputs.length ? action.inputs.map((input) => html`<${Input} key=${`${name}.${input.name}`} name=${input.name} label=${input.title ?? input.name}
        required=${input.required} options=${input.enum} help=${input.description} kind=${input.type} value=${values[input.name] ?? empty(input)} onChange=${(value) => setValues({ ...values, [input.name]: value })} />`) : html`<p class="dim">This action takes no inputs.</p>`}</fieldset>
      <div class="send"><${Button} primary icon="play" label="Trigger" onClick=${send} /><${Button} label="Close" onClick=${onClose} /></div>`}
    ${problem && html`<p class="note bad" role="alert">${problem.message} ${problem.hint}</p>`}
    ${result && html`<p class="note" aria-live="polite">Response <b class=${statusTone(result.delivery.status)}>${handlerText(result.delivery)}</b> in ${latency(result.delivery.latency_ms)}.
      ${result.capture && html` <button type="button" class="link" onClick=${() => onOpen(result.capture)}>Show the capture</button>`}</p>`}
  </div>`;
}

function empty(input) {
  if (input.type === "boolean") return false;
  return input.type === "number" || input.type === "integer" ? null : input.type === "object" ? {} : input.type === "array" ? [] : "";
}

function plain(value) {
  return value && typeof value === "object" && "jqQuery" in value ? undefined : value ?? undefined;
}

function given(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "" && value !== null));
}
