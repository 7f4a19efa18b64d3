// @ts-check
// One input of a form, and all inputs of an action.
import { html, useRef, useState, Button } from "../ui/ui.js";
import { controlOf, helpFor, textOf, valueIn } from "./control.js";
import { oneLine } from "../ui/format.js";

/** @import { Input as Declared } from "../net/types.js" */

let count = 0;

/**
 * The inputs of an action, each with its current value.
 * @param {{ inputs: Declared[], values: Record<string, any>, onChange: (name: string, value: any) => void,
 *   note?: string }} props
 */
export function Fields({ inputs, values, onChange, note }) {
  return html`<fieldset class="form">
    <legend>Inputs</legend>
    ${note && html`<p class="dim">${note}</p>`}
    ${!inputs.length && html`<p class="dim">This action has no inputs.</p>`}
    ${inputs.map((input) => html`<${Input}
      key=${input.name}
      input=${input}
      value=${values[input.name]}
      onChange=${(value) => onChange(input.name, value)}
    />`)}
  </fieldset>`;
}

/**
 * An input with the control for its type.
 * @param {{ input: Partial<Declared> & { name: string }, value: any, onChange: (value: any) => void }} props
 */
export function Input({ input, value, onChange }) {
  // The text and the control don't change until the user leaves the field, because the value may have another notation.
  const [typed, setTyped] = useState(/** @type {any} */ (null));
  const [isShown, setShown] = useState(false);
  const [id] = useState(() => `input-${(count += 1)}`);
  const held = useRef(/** @type {any} */ (null));
  if (typed === null || !held.current) held.current = controlOf(input, value);
  const control = held.current;
  const help = oneLine(helpFor(input));
  const title = oneLine(input.title ?? input.name) + (input.required ? " *" : "");
  const problem = typed === null ? "" : valueIn(control, typed).problem;
  const shared = {
    id,
    "aria-required": input.required || undefined,
    "aria-invalid": problem ? "true" : undefined,
    "aria-describedby": help || problem ? `${id}-help` : undefined,
  };
  const about = html`<small id=${`${id}-help`} class=${problem ? "bad" : "dim"}>${problem || help}</small>`;
  if (control.kind === "choices") {
    return html`<${Choices} input=${input} title=${title} help=${help} value=${value} onChange=${onChange} />`;
  }
  if (control.kind === "switch") {
    return html`<div class="field inline check">
      <input type="checkbox" ...${shared} checked=${value === true}
        onChange=${(event) => onChange(event.currentTarget.checked)} />
      <label for=${id}>${title}</label>${help && about}
    </div>`;
  }
  const text = {
    ...shared,
    ref: (field) => field?.setCustomValidity(problem),
    value: typed ?? textOf(control, value),
    spellcheck: false,
    onInput: (event) => {
      const read = valueIn(control, event.currentTarget.value);
      setTyped(event.currentTarget.value);
      if (!read.problem) onChange(read.value);
    },
    onBlur: () => problem || setTyped(null),
  };
  const isArea = control.kind === "json" || control.kind === "lines";
  const hides = control.isSecret && !isShown;
  return html`<div class="field inline">
    <label for=${id}>${title}</label>
    <div class="control">
      ${control.kind === "choice"
        ? html`<${Choice} shared=${shared} input=${input} value=${value} onChange=${onChange} />`
        : isArea
          ? html`<textarea ...${text} class=${hides ? "secret" : ""} autocomplete="off"
              rows=${Math.min(12, Math.max(3, text.value.split("\n").length))}
              placeholder=${input.type === "array" ? "[]" : input.type === "object" ? "{}" : ""}></textarea>`
          : html`<input ...${text} type=${control.isSecret && isShown ? "text" : control.type} autocomplete="off"
              min=${input.minimum} max=${input.maximum} step=${control.kind === "time" ? 1 : "any"} />`}
      ${control.isSecret && html`<${Button} label=${isShown ? "Hide" : "Show"} pressed=${isShown}
        onClick=${() => setShown(!isShown)} />`}
    </div>
    ${(help || problem) && about}
  </div>`;
}

function Choice({ shared, input, value, onChange }) {
  const options = input.enum ?? [];
  return html`<select ...${shared} value=${JSON.stringify(value ?? null)}
    onChange=${(event) => onChange(JSON.parse(event.currentTarget.value))}>
    ${(!input.required || (value ?? null) === null) && html`<option value="null">–</option>`}
    ${options.map((each) => html`<option key=${String(each)} value=${JSON.stringify(each)}>
      ${oneLine(String(each))}
    </option>`)}
  </select>`;
}

/** The choices of an array input. The user can select several of them. */
function Choices({ input, title, help, value, onChange }) {
  const chosen = new Set(Array.isArray(value) ? value : []);
  const set = (each, isIn) => {
    const others = (input.items ?? []).filter((other) => (other === each ? isIn : chosen.has(other)));
    onChange(others.length ? others : null);
  };
  return html`<fieldset class="field inline choices">
    <legend>${title}</legend>
    <div>
      ${(input.items ?? []).map((each) => html`<label key=${String(each)}>
        <input type="checkbox" checked=${chosen.has(each)}
          onChange=${(event) => set(each, event.currentTarget.checked)} />
        ${oneLine(String(each))}
      </label>`)}
      ${help && html`<small class="dim">${help}</small>`}
    </div>
  </fieldset>`;
}
