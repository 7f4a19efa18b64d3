// A JSON body as a tree. Levels are fetched when they are unfolded, so that a body of any size opens at once.
import { html, Button, Icon, useEffect, useRef, useState } from "../ui/ui.js";
import { captureUrl, get } from "../net/api.js";
import { number, visible } from "../ui/format.js";
import { copy } from "../ui/copy.js";

const LEVEL = 200;
const FOLDED_FROM = 40;
const SHOWN_TEXT = 240;

export function Tree({ id, part = "request" }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState(null);
  const [root, setRoot] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    setRoot(null);
    setProblem(null);
    setFound(null);
    get(captureUrl(id, "/tree"), { part, limit: LEVEL }).then(setRoot).catch(setProblem);
  }, [id, part]);
  const search = (value) => {
    setText(value);
    if (!value) return setFound(null);
    get(captureUrl(id, "/tree"), { part, find: value }).then(setFound).catch(setProblem);
  };
  if (problem) return html`<p class="note">${problem.message} ${problem.hint}</p>`;
  if (!root) return html`<p class="note">Loading…</p>`;
  return html`<div class="tree">
    <div class="tree-tools"><label class="search small"><${Icon} name="search" size=${13} />
      <input type="search" placeholder="Find a key or value" aria-label="Find a key or value in the body" value=${text} onInput=${(event) => search(event.currentTarget.value)} /></label>
      ${found && html`<span class="dim">${found.matches.length}${found.complete ? "" : " or more"} found</span>`}
    </div>
    ${found
      ? html`<ul class="matches">${found.matches.map((path) => html`<li key=${path}><${Match} id=${id} part=${part} path=${path} /></li>`)}</ul>`
      : html`<ul role="tree" aria-label="Body" onKeyDown=${onTreeKey}><${Node} id=${id} part=${part} node=${{ ...root, key: null }} level=${root} depth=${0} /></ul>`}
  </div>`;
}

/** Up and Down move between the values that are unfolded; the tree is one stop of the Tab key. */
function onTreeKey(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.target.getAttribute("role") !== "treeitem") return;
  const items = [...event.currentTarget.querySelectorAll('[role="treeitem"]')];
  items[items.indexOf(event.target) + step]?.focus();
  event.preventDefault();
  event.stopPropagation();
}

function Match({ id, part, path }) {
  const [node, setNode] = useState(null);
  useEffect(() => { get(captureUrl(id, "/tree"), { part, path, limit: 1 }).then(setNode).catch(() => {}); }, [id, part, path]);
  return html`<button type="button" class="path" title="Copy the path" onClick=${() => copy(path)}>${visible(path)}</button>
    ${node && html` <${Value} node=${node} />`}`;
}

function Node({ id, part, node, level, depth }) {
  const isContainer = node.type === "object" || node.type === "array";
  const [isOpen, setOpen] = useState(isContainer && depth < 3 && (node.size ?? 0) <= FOLDED_FROM);
  const [children, setChildren] = useState(level?.children ?? null);
  const [next, setNext] = useState(level?.next ?? null);
  const asked = useRef(false);
  const load = (offset) => get(captureUrl(id, "/tree"), { part, path: node.path, offset, limit: LEVEL }).then((found) => {
    setChildren((old) => [...(offset ? old ?? [] : []), ...found.children]);
    setNext(found.next);
  });
  useEffect(() => {
    if (isOpen && children === null && !asked.current) {
      asked.current = true;
      load(0).catch(() => { asked.current = false; });
    }
  }, [isOpen]);
  const onKeyDown = (event) => {
    if (event.target !== event.currentTarget) return;
    if (isContainer && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      setOpen(event.key === "ArrowRight");
      event.preventDefault();
      event.stopPropagation();
    }
  };
  return html`<li role="treeitem" aria-expanded=${isContainer ? isOpen : undefined} aria-selected="false" tabindex=${depth === 0 ? 0 : -1} onKeyDown=${onKeyDown}>
    <div class="node">
      ${isContainer
        ? html`<button type="button" class=${`fold${isOpen ? " open" : ""}`} tabindex="-1" aria-label=${isOpen ? "Fold" : "Unfold"} onClick=${() => setOpen(!isOpen)}><${Icon} name="chevron" size=${12} /></button>`
        : html`<span class="fold"></span>`}
      ${node.key !== null && html`<span class="key">${visible(node.key)}</span><span class="colon">:</span>`}
      <${Value} node=${node} onFold=${isContainer ? () => setOpen(!isOpen) : undefined} />
      <span class="node-tools">
        ${node.path && html`<${Button} icon="link" label="Copy the path" iconOnly onClick=${() => copy(node.path)} />`}
        ${!isContainer && html`<${Button} icon="copy" label="Copy the value" iconOnly onClick=${() => copy(node.text)} />`}
      </span>
    </div>
    ${isOpen && children && html`<ul role="group">
      ${children.map((child) => html`<${Node} key=${child.path} id=${id} part=${part} node=${child} depth=${depth + 1} />`)}
      ${next !== null && html`<li role="none"><button type="button" class="more" onClick=${() => load(next)}>Show more of ${number(node.size)}</button></li>`}
    </ul>`}
  </li>`;
}

function Value({ node, onFold }) {
  const [isWhole, setWhole] = useState(false);
  if (node.type === "object" || node.type === "array") {
    const [start, end] = node.type === "object" ? ["{", "}"] : ["[", "]"];
    return html`<button type="button" class="container" tabindex="-1" onClick=${onFold} disabled=${!onFold}>${start}<small>${number(node.size)}</small>${end}</button>`;
  }
  const text = visible(node.text);
  const isLong = text.length > SHOWN_TEXT;
  return html`<span class=${`value ${node.type}`}>${isLong && !isWhole ? `${text.slice(0, SHOWN_TEXT)}…` : text}</span>
    ${isLong && html`<button type="button" class="more" onClick=${() => setWhole(!isWhole)}>${isWhole ? "less" : `${number(node.size ?? text.length)} characters`}</button>`}`;
}
