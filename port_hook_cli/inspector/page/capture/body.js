// @ts-check
// A body as a tree or as text, and its headers.
import { html, Button, useEffect, useRef, useState } from "../ui/ui.js";
import { Headers } from "./headers.js";
import { Tree } from "./tree.js";
import { captureUrl, getBytes } from "../net/api.js";
import { useLocation } from "../net/location.js";
import { download, say } from "../ui/copy.js";
import { bytes, oneLine } from "../ui/format.js";
import { Marked } from "../ui/marked.js";

/** @import { BodyText, HeaderField } from "../net/types.js" */

/** @param {{ id: string, part: string, body: BodyText, headers?: HeaderField[] }} props */
export function Body({ id, part, body, headers }) {
  const isTree = body.type === "json" && !body.problem;
  const [view, setView] = useState(isTree ? "tree" : "raw");
  const find = String(useLocation().filters.text ?? "");
  const save = () => getBytes(captureUrl(id, "/body"), { part })
    .then((found) => download(`${part}.bin`, found))
    .catch((error) => say(error.message));
  const choice = (name, label) =>
    html`<${Button} label=${label} pressed=${view === name} onClick=${() => setView(name)} />`;
  return html`<div class="body">
    <div class="switch" role="group" aria-label="View">
      ${isTree && choice("tree", "Tree")}
      ${choice("raw", "Raw")}
      ${headers && choice("headers", `Headers (${headers.length})`)}
      <span class="dim">${bytes(body.bytes)}</span>
      <button type="button" class="link" title="Download the raw bytes" onClick=${save}>Download</button>
    </div>
    ${body.problem && html`<p class="note">The body is ${oneLine(body.problem)}.</p>`}
    ${view === "tree" && html`<${Tree} key=${`${id} ${part}`} id=${id} part=${part} wanted=${find} />`}
    ${view === "raw" && html`<${Raw} body=${body} find=${find} />`}
    ${view === "headers" && headers && html`<${Headers} headers=${headers} find=${find} />`}
  </div>`;
}

/** @param {{ body: BodyText, find: string }} props */
function Raw({ body, find }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => box.current?.querySelector("mark")?.scrollIntoView({ block: "nearest" }), [body.text, find]);
  if (body.bytes === 0) return html`<p class="note">The body is empty.</p>`;
  const text = body.text ?? (body.hex ?? []).join("\n");
  const kept = body.kept < body.bytes
    ? ` The store has only ${bytes(body.kept)}, because the request was rejected.`
    : "";
  return html`<pre class="raw" tabindex="0" ref=${box}><${Marked} text=${text} find=${find} /></pre>
    ${!body.is_whole && html`<p class="note">Only the beginning of ${bytes(body.bytes)} is shown.${kept}</p>`}`;
}
