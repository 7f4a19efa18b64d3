// A body: as a tree, as text, and its headers.
import { html, useState, Button } from "../ui/ui.js";
import { Tree } from "./tree.js";
import { captureUrl, getBytes } from "../net/api.js";
import { download, say } from "../ui/copy.js";
import { bytes, oneLine, visible } from "../ui/format.js";

export function Body({ id, part, body, headers }) {
  const [view, setView] = useState(body.type === "json" && !body.problem ? "tree" : "raw");
  const save = () => getBytes(captureUrl(id, "/body"), { part }).then((found) => download(`${part}.bin`, found)).catch((error) => say(error.message));
  return html`<div class="body">
    <div class="switch" role="group" aria-label="View">
      ${body.type === "json" && !body.problem && html`<${Button} label="Tree" pressed=${view === "tree"} onClick=${() => setView("tree")} />`}
      <${Button} label="Raw" pressed=${view === "raw"} onClick=${() => setView("raw")} />
      ${headers && html`<${Button} label=${`Headers (${headers.length})`} pressed=${view === "headers"} onClick=${() => setView("headers")} />`}
      <span class="dim">${bytes(body.bytes)}</span>
      <button type="button" class="link" title="Download the exact bytes" onClick=${save}>Download</button>
    </div>
    ${body.problem && html`<p class="note">The body is ${oneLine(body.problem)}.</p>`}
    ${view === "tree" && html`<${Tree} id=${id} part=${part} />`}
    ${view === "raw" && html`<${Raw} body=${body} />`}
    ${view === "headers" && html`<${Headers} headers=${headers} />`}
  </div>`;
}

function Raw({ body }) {
  if (body.bytes === 0) return html`<p class="note">The body is empty.</p>`;
  const text = body.text === null ? body.hex.join("\n") : visible(body.text);
  return html`<pre class="raw" tabindex="0">${text}</pre>
    ${!body.is_whole && html`<p class="note">Only the beginning of ${bytes(body.bytes)} is shown.${body.kept < body.bytes ? ` The store kept ${bytes(body.kept)}, because the request was refused.` : ""}</p>`}`;
}

function Headers({ headers }) {
  if (!headers.length) return html`<p class="note">There are no header fields.</p>`;
  return html`<table class="headers"><tbody>${headers.map(([name, value], index) => html`<tr key=${index}><th scope="row">${oneLine(name)}</th><td>${oneLine(value)}</td></tr>`)}</tbody></table>`;
}
