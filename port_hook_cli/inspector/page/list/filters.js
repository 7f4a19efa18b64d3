// The search field and the filters, each a part of the URL.
import { html, Icon, memo, useEffect, useRef, useState } from "../ui/ui.js";
import { go, setFilter } from "../net/location.js";
import { fullTime, number, oneLine, VERDICTS, verdictOf } from "../ui/format.js";

const TYPING_MS = 150;
const RESPONSES = [["2xx", "2xx"], ["3xx", "3xx"], ["4xx", "4xx"], ["5xx", "5xx"], ["none", "no response yet"]];
const HANDLERS = [["2xx", "2xx"], ["3xx", "3xx"], ["4xx", "4xx"], ["5xx", "5xx"], ["failed", "failed"], ["no-response", "did not respond"], ["none", "not forwarded"]];

export function Search({ filters, inputRef }) {
  const [text, setText] = useState(filters.text ?? "");
  const timer = useRef(0);
  useEffect(() => setText(filters.text ?? ""), [filters.text]);
  const onInput = (event) => {
    const value = event.currentTarget.value;
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setFilter("text", value, { replace: true }), TYPING_MS);
  };
  return html`<label class="search">
    <${Icon} name="search" />
    <input
      ref=${inputRef} type="search" placeholder="Search bodies and headers" value=${text} onInput=${onInput}
      aria-label="Search bodies and headers" spellcheck="false" autocomplete="off"
    />
    <kbd>/</kbd>
  </label>`;
}

export const Filters = memo(({ filters, spans, session }) => {
  const menu = useRef(null);
  useEffect(() => {
    const onPress = (event) => { if (menu.current && !menu.current.contains(event.target)) menu.current.open = false; };
    window.addEventListener("pointerdown", onPress);
    return () => window.removeEventListener("pointerdown", onPress);
  }, []);
  const verdicts = filters.verdict ?? [];
  const toggle = (status) =>
    setFilter("verdict", verdicts.includes(status) ? verdicts.filter((each) => each !== status) : [...verdicts, status]);
  const chips = [
    ["action", "action"], ["run", "run"], ["id", "capture"],
  ].filter(([name]) => filters[name]);
  const isFiltered = Object.keys(filters).length > 0;
  return html`<div class="filters" role="group" aria-label="Filters">
    <details class="menu" ref=${menu} onKeyDown=${(event) => { if (event.key === "Escape" && menu.current.open) { event.stopPropagation(); menu.current.open = false; menu.current.querySelector("summary").focus(); } }}>
      <summary class=${verdicts.length ? "on" : ""}>Signature${verdicts.length ? `: ${verdicts.map((each) => verdictOf(each).word).join(", ")}` : ""}</summary>
      <div role="group" aria-label="Signature">${Object.entries(VERDICTS).map(([status, verdict]) => html`<label key=${status} class=${verdict.tone}>
        <input type="checkbox" checked=${verdicts.includes(status)} onChange=${() => toggle(status)} /><${Icon} name=${verdict.icon} size=${14} />${verdict.word}</label>`)}</div>
    </details>
    <div class="verdicts" role="group" aria-label="Signature">
      ${Object.entries(VERDICTS).map(([status, verdict]) => html`<button
        type="button" key=${status} class=${`chip ${verdict.tone}`} aria-pressed=${verdicts.includes(status)} title=${verdict.about}
        onClick=${() => toggle(status)}><${Icon} name=${verdict.icon} size=${13} />${verdict.word}</button>`)}
    </div>
    <${Select} label="Response" name="response" value=${filters.response} options=${RESPONSES} />
    <${Select} label="Handler" name="handler" value=${filters.handler} options=${HANDLERS} />
    ${chips.map(([name, label]) => html`<${Chip} key=${name} label=${`${label} ${oneLine(filters[name])}`} onRemove=${() => setFilter(name, null)} />`)}
    ${(filters.since || filters.until) && html`<${Chip}
      label=${`${filters.since ? fullTime(Number(filters.since)) : "…"} to ${filters.until ? fullTime(Number(filters.until)) : "now"}`}
      onRemove=${() => { go({ filters: { ...filters, since: undefined, until: undefined } }); }} />`}
    ${isFiltered && html`<button type="button" class="link" onClick=${() => go({ filters: {} })}>Clear</button>`}
    <p class="count" role="status">${spans ? html`${number(spans.count)}${spans.isComplete === false ? " or more" : ""}<span> ${spans.count === 1 ? "capture" : "captures"}</span>${session && session.search.complete === false ? ", still being indexed" : ""}` : "Loading…"}</p>
  </div>`;
});

function Select({ label, name, value, options }) {
  return html`<label class=${`select${value ? " on" : ""}`}>
    <select aria-label=${label} value=${value ?? ""} onChange=${(event) => setFilter(name, event.currentTarget.value)}>
      <option value="" selected=${!value}>${label}</option>
      ${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${label}: ${text}</option>`)}
    </select></label>`;
}

function Chip({ label, onRemove }) {
  return html`<span class="chip on" title=${label}><span>${label}</span><button type="button" aria-label=${`Remove the filter ${label}`} onClick=${onRemove}><${Icon} name="x" size=${12} /></button></span>`;
}
