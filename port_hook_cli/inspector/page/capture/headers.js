// @ts-check
// The headers of a message. 256 KiB can hold thousands of headers, so the page draws them in parts.
import { html, useState } from "../ui/ui.js";
import { number, oneLine } from "../ui/format.js";
import { Marked } from "../ui/marked.js";

/** @import { HeaderField } from "../net/types.js" */

const SHOWN = 200;

/** @param {{ headers: HeaderField[], find?: string }} props */
export function Headers({ headers, find }) {
  const [most, setMost] = useState(SHOWN);
  const [text, setText] = useState("");
  if (!headers.length) return html`<p class="note">No headers.</p>`;
  const wanted = text.toLowerCase();
  const found = wanted ? headers.filter((field) => field.join(": ").toLowerCase().includes(wanted)) : headers;
  const onInput = (event) => {
    setText(event.currentTarget.value);
    setMost(SHOWN);
  };
  return html`
    ${headers.length > SHOWN && html`<div class="tree-tools">
      <label class="search small">
        <input type="search" value=${text} onInput=${onInput}
          placeholder="Find a header" aria-label="Find a header" />
      </label>
      <span class="dim" role="status">${number(found.length)} of ${number(headers.length)}</span>
    </div>`}
    <table class="headers"><tbody>
      ${found.slice(0, most).map(([name, value], index) => html`<tr key=${index}>
        <th scope="row">${oneLine(name)}</th>
        <td><${Marked} text=${oneLine(value)} find=${text || find} /></td>
      </tr>`)}
    </tbody></table>
    ${found.length > most && html`<button type="button" class="more" onClick=${() => setMost(most + SHOWN)}>
      Show ${number(Math.min(SHOWN, found.length - most))} more of ${number(found.length)}
    </button>`}`;
}
