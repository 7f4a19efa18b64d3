// @ts-check
// The inputs in a payload as fields of a form. Each field changes the text of the payload.
import { html, useMemo } from "../ui/ui.js";
import { Input } from "./input.js";
import { parsed } from "./json_text.js";

/** @import { Capture } from "../net/types.js" */

const MOST_FORM_FIELDS = 60;
const PLACES = [["payload", "properties"], ["inputs"], ["payload", "inputs"], ["properties"]];

/** @param {{ capture: Capture, text: string, onChange: (text: string) => void }} props */
export function Inputs({ capture, text, onChange }) {
  const document = useMemo(() => parsed(text), [text]);
  const place = PLACES.find((each) => isObject(at(document, each)));
  if (!place || !capture.inputs.length) return null;
  const values = at(document, place);
  const names = Object.keys(values).slice(0, MOST_FORM_FIELDS);
  const set = (name, value) => {
    const copy = structuredClone(document);
    at(copy, place)[name] = value;
    onChange(JSON.stringify(copy, null, 2));
  };
  return html`<fieldset class="form">
    <legend>Inputs</legend>
    ${names.map((name) => html`<${Input}
      key=${name}
      input=${{ name }}
      value=${values[name]}
      onChange=${(value) => set(name, value)}
    />`)}
  </fieldset>`;
}

function at(document, place) {
  const inner = (value, key) => (isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined);
  return place.reduce(inner, document);
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
