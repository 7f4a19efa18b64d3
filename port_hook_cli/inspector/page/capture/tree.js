// @ts-check
// A JSON body as a tree. A level is fetched when the user unfolds it, so that a body of any size opens quickly.
import { html, Button, Icon, useEffect, useRef, useState } from "../ui/ui.js";
import { captureUrl, get } from "../net/api.js";
import { number, visible } from "../ui/format.js";
import { copy } from "../ui/copy.js";
import { Marked } from "../ui/marked.js";
import { useResource } from "../ui/resource.js";

/** @import { TreeFound, TreeLevel, TreeNode } from "../net/types.js" */
/** @typedef {{ id: string, part: string, find: string }} Place Which body it is, and the search text. */

const LEVEL = 200;
const FOLDED_FROM = 40;
const SHOWN_TEXT = 240;

/**
 * The tree with its own search. The search starts with `wanted`, the search text of the list, if the body contains it.
 * @param {{ id: string, part?: string, wanted?: string }} props
 */
export function Tree({ id, part = "request", wanted = "" }) {
  const [text, setText] = useState(wanted);
  const isTyped = useRef(false);
  /** @type {(parameters: object) => (signal: AbortSignal) => Promise<any>} */
  const fetch = (parameters) => (signal) => get(captureUrl(id, "/tree"), { part, ...parameters }, signal);
  const key = `${id} ${part}`;
  const { value: root, problem } = useResource(fetch({ limit: LEVEL }), key);
  /** @type {{ value: TreeFound | null }} */
  const { value: found } = useResource(fetch({ find: text }), text && `${key} ${text}`);
  useEffect(() => {
    if (!isTyped.current && found?.matches.length === 0) setText(""); // the list found the text in a header
  }, [found]);
  const onInput = (event) => {
    isTyped.current = true;
    setText(event.currentTarget.value);
  };
  if (problem) return html`<p class="note">${problem.message} ${problem.hint}</p>`;
  if (!root) return html`<p class="note">Loading…</p>`;
  const place = { id, part, find: text };
  return html`<div class="tree">
    <div class="tree-tools">
      <label class="search small">
        <${Icon} name="search" size=${13} />
        <input type="search" value=${text} onInput=${onInput}
          placeholder="Find a key or value" aria-label="Find a key or value in the body" />
      </label>
      <span class="dim" role="status">
        ${found && `${found.matches.length}${found.complete ? "" : " or more"} found`}
      </span>
    </div>
    ${found && found.matches.length > 0 && html`<ul class="matches" aria-label="Found">
      ${found.matches.map((path) => html`<li key=${path}><${Match} place=${place} path=${path} /></li>`)}
    </ul>`}
    <ul role="tree" aria-label="Body" onKeyDown=${onTreeKey}>
      <${Node} place=${place} node=${{ ...root, key: null }} level=${root} depth=${1} at=${1} of=${1} />
    </ul>
  </div>`;
}

/** Move between the visible values with the arrow keys, Home and End. The tree is one stop of the Tab key. */
function onTreeKey(event) {
  const item = event.target;
  if (item.getAttribute("role") !== "treeitem" || event.ctrlKey || event.metaKey || event.altKey) return;
  const items = [...event.currentTarget.querySelectorAll('[role="treeitem"]')];
  const at = items.indexOf(item);
  const isOpen = item.getAttribute("aria-expanded");
  const fold = () => item.querySelector(".fold").click();
  const run = {
    ArrowDown: () => items[at + 1]?.focus(),
    ArrowUp: () => items[at - 1]?.focus(),
    Home: () => items[0].focus(),
    End: () => items.at(-1).focus(),
    ArrowLeft: () => (isOpen === "true" ? fold() : item.parentElement.closest('[role="treeitem"]')?.focus()),
    ArrowRight: () => (isOpen === "false" ? fold() : isOpen && item.querySelector('[role="treeitem"]')?.focus()),
  }[event.key];
  if (!run) return;
  run();
  event.preventDefault();
  event.stopPropagation();
}

/** @param {{ place: Place, path: string }} props */
function Match({ place, path }) {
  const { id, part, find } = place;
  const load = (signal) => get(captureUrl(id, "/tree"), { part, path, limit: 1 }, signal);
  /** @type {{ value: TreeLevel | null }} */
  const { value: node } = useResource(load, `${id} ${part} ${path}`);
  return html`<button type="button" class="path" title="Copy the path" onClick=${() => copy(path)}>
      <${Marked} text=${path} find=${find} />
    </button>
    ${node && html` <${Value} node=${node} find=${find} />`}`;
}

/**
 * A value and its children. `at` is the position of the value among the `of` values of its container.
 * @param {{ place: Place, node: TreeNode, level?: TreeLevel, depth: number, at: number, of: number }} props
 */
function Node({ place, node, level, depth, at, of }) {
  const isContainer = node.type === "object" || node.type === "array";
  const [isOpen, setOpen] = useState(isContainer && depth < 4 && (node.size ?? 0) <= FOLDED_FROM);
  const [children, setChildren] = useState(level?.children ?? null);
  const [next, setNext] = useState(level?.next ?? null);
  const asked = useRef(false);
  const load = (offset) => {
    const parameters = { part: place.part, path: node.path, offset, limit: LEVEL };
    return get(captureUrl(place.id, "/tree"), parameters).then((found) => {
      setChildren((old) => [...(offset ? old ?? [] : []), ...found.children]);
      setNext(found.next);
    });
  };
  useEffect(() => {
    if (isOpen && children === null && !asked.current) {
      asked.current = true;
      load(0).catch(() => { asked.current = false; });
    }
  }, [isOpen]);
  const toggle = () => setOpen(!isOpen);
  return html`<li
    role="treeitem" aria-level=${depth} aria-posinset=${at} aria-setsize=${of}
    aria-expanded=${isContainer ? isOpen : undefined} aria-selected="false" tabindex=${depth === 1 ? 0 : -1}
  >
    <div class="node">
      ${isContainer
        ? html`<button type="button" class=${`fold${isOpen ? " open" : ""}`} tabindex="-1"
            aria-label=${isOpen ? "Fold" : "Unfold"} onClick=${toggle}><${Icon} name="chevron" size=${12} /></button>`
        : html`<span class="fold"></span>`}
      ${node.key !== null && html`
        <span class="key"><${Marked} text=${node.key} find=${place.find} /></span><span class="colon">:</span>`}
      <${Value} node=${node} find=${place.find} onFold=${isContainer ? toggle : undefined} />
      <${NodeTools} node=${node} isContainer=${isContainer} />
    </div>
    ${isOpen && children && html`<ul role="group">
      ${children.map((child, index) => html`<${Node}
        key=${child.path} place=${place} node=${child} depth=${depth + 1} at=${index + 1} of=${node.size}
      />`)}
      ${next !== null && html`<li role="none">
        <button type="button" class="more" onClick=${() => load(next)}>Show more of ${number(node.size ?? 0)}</button>
      </li>`}
    </ul>`}
  </li>`;
}

/** @param {{ node: TreeNode, isContainer: boolean }} props */
function NodeTools({ node, isContainer }) {
  return html`<span class="node-tools">
    ${node.path && html`<${Button} icon="link" label="Copy the path" iconOnly onClick=${() => copy(node.path)} />`}
    ${!isContainer && html`<${Button} icon="copy" label="Copy the value" iconOnly
      onClick=${() => copy(node.text ?? "")} />`}
  </span>`;
}

/** @param {{ node: TreeNode, find: string, onFold?: () => void }} props */
function Value({ node, find, onFold }) {
  const [isWhole, setWhole] = useState(false);
  if (node.type === "object" || node.type === "array") {
    const [start, end] = node.type === "object" ? ["{", "}"] : ["[", "]"];
    return html`<button type="button" class="container" tabindex="-1" onClick=${onFold} disabled=${!onFold}>
      ${start}<small>${number(node.size ?? 0)}</small>${end}
    </button>`;
  }
  const text = visible(node.text);
  const isLong = text.length > SHOWN_TEXT;
  const shown = isLong && !isWhole ? `${text.slice(0, SHOWN_TEXT)}…` : text;
  const more = isWhole ? "less" : `${number(node.size ?? text.length)} characters`;
  return html`<span class=${`value ${node.type}`}><${Marked} text=${shown} find=${find} /></span>
    ${isLong && html`<button type="button" class="more" onClick=${() => setWhole(!isWhole)}>${more}</button>`}`;
}
