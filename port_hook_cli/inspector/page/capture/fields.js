// Inputs as fields of a form.
import { html, useMemo, useState } from "../ui/ui.js";
import { parsed } from "./json_text.js";
import { oneLine } from "../ui/format.js";

const MOST_FORM_FIELDS = 60;

/** The inputs as fields; each writes into the text. */
export function Inputs({ capture, text, onChange }) {
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
