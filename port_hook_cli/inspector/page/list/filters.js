// @ts-check
// The search field and the filters. Each of them is a part of the URL.
import { html, Icon, memo, useEffect, useRef, useState } from "../ui/ui.js";
import { get } from "../net/api.js";
import { go, readLocation, setFilter } from "../net/location.js";
import { say } from "../ui/copy.js";
import { fullTime, latency, number, oneLine, VERDICTS, verdictOf } from "../ui/format.js";
import { When } from "./when.js";

/** @import { Filters as Wanted } from "../net/types.js" */
/** @typedef {[value: string, text: string][]} Options */

const TYPING_MS = 150;
/** @type {Options} */
const CLASSES = [["2xx", "2xx"], ["3xx", "3xx"], ["4xx", "4xx"], ["5xx", "5xx"]];
/** @type {Options} */
const RESPONSES = [...CLASSES, ["none", "no response yet"]];
/** @type {Options} */
const HANDLERS = [...CLASSES, ["failed", "failed"], ["no-response", "did not respond"], ["none", "not forwarded"]];
/** @type {Options} */
const LATENCIES = ["100", "500", "1000", "5000", "10000", "30000"].map((ms) => [ms, slower(ms)]);
const CHIPS = [["action", "action"], ["workflow", "workflow"], ["node", "node"], ["run", "run"], ["user", "user"],
  ["entity", "entity"], ["id", "capture"]];

/** @param {{ filters: Wanted, inputRef: object }} props */
export function Search({ filters, inputRef }) {
  const wanted = String(filters.text ?? "");
  const [text, setText] = useState(wanted);
  const timer = useRef(0);
  useEffect(() => setText(wanted), [wanted]);
  const onInput = (event) => {
    const value = event.currentTarget.value;
    setText(value);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setFilter("text", value, { replace: true }), TYPING_MS);
  };
  // Open the first match, even if the search for this text has not started.
  const onKeyDown = (event) => {
    if (event.key !== "Enter" || event.isComposing || !text) return;
    /** @type {HTMLElement | null} */ (document.querySelector(".scroll"))?.focus(); // so that j and k work
    clearTimeout(timer.current);
    setFilter("text", text, { replace: true });
    const { filters: now } = readLocation();
    get("/api/captures", { ...now, limit: 1 }).then(({ captures: [first] }) => {
      if (readLocation().filters.text !== text) return;
      if (first) go({ open: first.id, against: "" });
      else say("No captures match.");
    }).catch((error) => say(error.message));
  };
  return html`<label class="search">
    <${Icon} name="search" />
    <input
      ref=${inputRef} type="search" placeholder="Search bodies and headers" aria-label="Search bodies and headers"
      value=${text} onInput=${onInput} onKeyDown=${onKeyDown}
      spellcheck="false" autocomplete="off" enterkeyhint="search"
    />
    <kbd>/</kbd>
  </label>`;
}

export const Filters = memo(
  /** @param {{ filters: Wanted, spans: any }} props */
  ({ filters, spans }) => {
    const chips = CHIPS.filter(([name]) => filters[name]);
    const unbounded = { ...filters, since: "", until: "" };
    return html`<div class="filters" role="group" aria-label="Filters">
      <${When} filters=${filters} />
      <${Verdicts} chosen=${[filters.verdict ?? []].flat()} />
      <${Select} label="Response" name="response" value=${filters.response} options=${RESPONSES} />
      <${Select} label="Handler" name="handler" value=${filters.handler} options=${HANDLERS} />
      <${Select} label="Latency" name="latency" value=${filters.latency} options=${LATENCIES} textOf=${slower} />
      ${chips.map(([name, label]) => html`<${Chip}
        key=${name} label=${`${label} ${oneLine(filters[name])}`} onRemove=${() => setFilter(name, null)}
      />`)}
      ${(filters.since || filters.until) && html`<${Chip}
        label=${filters.until ? `${at(filters.since)} to ${at(filters.until)}` : `since ${at(filters.since)}`}
        onRemove=${() => go({ filters: unbounded })}
      />`}
      ${Object.keys(filters).length > 0 && html`
        <button type="button" class="link" onClick=${() => go({ filters: {} })}>Clear</button>`}
      <p class="count" role="status"><${Count} spans=${spans} /></p>
    </div>`;
  },
);

/** @param {{ spans: any }} props */
function Count({ spans }) {
  if (!spans) return html`Loading…`;
  return html`${number(spans.count)}${spans.isComplete === false ? " or more" : ""}
    <span> ${spans.count === 1 ? "capture" : "captures"}</span>`;
}

/**
 * The filter by verdict: buttons, or a menu in narrow windows.
 * @param {{ chosen: string[] }} props
 */
function Verdicts({ chosen }) {
  const menu = useRef(/** @type {HTMLDetailsElement | null} */ (null));
  useEffect(() => {
    const onPress = (event) => {
      if (menu.current && !menu.current.contains(event.target)) menu.current.open = false;
    };
    window.addEventListener("pointerdown", onPress);
    return () => window.removeEventListener("pointerdown", onPress);
  }, []);
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || !menu.current?.open) return;
    event.stopPropagation();
    menu.current.open = false;
    menu.current.querySelector("summary")?.focus();
  };
  const toggle = (status) =>
    setFilter("verdict", chosen.includes(status) ? chosen.filter((each) => each !== status) : [...chosen, status]);
  const names = chosen.map((each) => verdictOf(each).word).join(", ");
  const all = Object.entries(VERDICTS);
  return html`<details class="menu" ref=${menu} onKeyDown=${onKeyDown}>
      <summary class=${names ? "on" : ""}>Signature${names && `: ${names}`}</summary>
      <div role="group" aria-label="Signature">
        ${all.map(([status, verdict]) => html`<label key=${status} class=${verdict.tone}>
          <input type="checkbox" checked=${chosen.includes(status)} onChange=${() => toggle(status)} />
          <${Icon} name=${verdict.icon} size=${14} />${verdict.word}
        </label>`)}
      </div>
    </details>
    <div class="verdicts" role="group" aria-label="Signature">
      ${all.map(([status, verdict]) => html`<button
        type="button" key=${status} class=${`chip ${verdict.tone}`}
        aria-pressed=${chosen.includes(status)} title=${verdict.about} onClick=${() => toggle(status)}
      ><${Icon} name=${verdict.icon} size=${13} />${verdict.word}</button>`)}
    </div>`;
}

/**
 * A choice of values. If the URL has another value, such as a status, it becomes an extra option.
 * @param {{ label: string, name: string, value: any, options: Options, textOf?: (value: string) => string }} props
 */
function Select({ label, name, value, options, textOf = oneLine }) {
  const isOwn = value && !options.some(([key]) => key === value);
  const all = isOwn ? [...options, [value, textOf(value)]] : options;
  return html`<label class=${`select${value ? " on" : ""}`}>
    <select aria-label=${label} value=${value ?? ""} onChange=${(event) => setFilter(name, event.currentTarget.value)}>
      <option value="" selected=${!value}>${label}</option>
      ${all.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>
        ${label}: ${text}
      </option>`)}
    </select>
  </label>`;
}

/** @type {(seconds: any) => string} */
const at = (seconds) => (seconds ? fullTime(Number(seconds)).slice(0, -".000".length) : "…");

/** @param {string} ms */
function slower(ms) {
  return `over ${latency(Number(ms)).replace(".0 ", " ")}`;
}

/** @param {{ label: string, onRemove: () => void }} props */
function Chip({ label, onRemove }) {
  return html`<span class="chip on" title=${label}>
    <span>${label}</span>
    <button type="button" aria-label=${`Remove the filter ${label}`} onClick=${onRemove}>
      <${Icon} name="x" size=${12} />
    </button>
  </span>`;
}
