// @ts-check
// The steps of a run: names on the left, and bars on one time axis. A click on a step shows its details.
import { html, useEffect, useMemo, useRef, useState, Icon } from "../ui/ui.js";
import { duration, oneLine } from "../ui/format.js";
import { useNow } from "../ui/now.js";
import { axisOf, barOf, firstOpen, hasEnded, secondsOf, stepsOf, ticksOf } from "./layout.js";
import { StepDetail } from "./step.js";

/** @import { FoundRun } from "../net/types.js" */
/** @import { Around, Axis, Step } from "./layout.js" */

const TICK_MS = 400;
/** @type {Record<string, string>} */
const ICONS = { good: "check", bad: "x", warn: "alert", live: "clock", skipped: "minus", pending: "minus" };

/** @param {{ found: FoundRun, around: Around }} props */
export function Waterfall({ found, around }) {
  const { run, capture } = around;
  const now = useNow(hasEnded(run) ? 0 : TICK_MS);
  // The objects stay the same until Port responds again, so that only the bars are redrawn as time passes.
  const steps = useMemo(() => stepsOf(found, capture), [found, capture]);
  const axis = axisOf(run, steps, now);
  const [chosen, setChosen] = useState(/** @type {string[] | null} */ (null));
  const first = firstOpen(steps, capture.row.run_id);
  const opened = chosen ?? first;
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!chosen) list.current?.querySelector('[aria-expanded="true"]')?.scrollIntoView({ block: "nearest" });
  }, [first[0]]);
  const toggle = (/** @type {string} */ id) =>
    setChosen(opened.includes(id) ? opened.filter((each) => each !== id) : [...opened, id]);
  if (!steps.length) return html`<p class="note">Port has no steps for this run.</p>`;
  return html`<section class="waterfall" aria-label="Steps">
    <${TimeAxis} axis=${axis} />
    <ol ref=${list} onKeyDown=${onArrow}>${steps.map((step, index) => html`
    <li key=${step.id} class=${`is-${step.state}`}>
      <${Row} step=${step} axis=${axis} index=${index} isOpen=${opened.includes(step.id)} onToggle=${toggle} />
      ${opened.includes(step.id) && html`<div class="step-detail" id=${`step-${index}`}>
        <${StepDetail} step=${step} around=${around} />
      </div>`}
    </li>`)}</ol>
  </section>`;
}

/** Move between the steps with Up and Down, Home and End. @param {KeyboardEvent} event */
function onArrow(event) {
  const steps = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll(".step")];
  const at = steps.indexOf(/** @type {Element} */ (event.target));
  if (at < 0) return;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: steps.length - 1 }[event.key];
  if (to === undefined) return;
  /** @type {HTMLElement | undefined} */ (steps[to])?.focus();
  event.preventDefault();
}

/** @param {{ axis: Axis }} props */
function TimeAxis({ axis }) {
  return html`<div class="time-axis" aria-hidden="true"><div>${ticksOf(axis).map(({ text, left }) => html`
    <span key=${text} style=${{ left: `${left}%` }}>${text}</span>`)}</div></div>`;
}

/**
 * @param {{ step: Step, axis: Axis, index: number, isOpen: boolean, onToggle: (id: string) => void }} props
 */
function Row({ step, axis, index, isOpen, onToggle }) {
  const bar = barOf(step, axis);
  const seconds = secondsOf(step, axis);
  const kind = kindOf(step.kind);
  return html`<button
    type="button"
    class="step"
    aria-expanded=${isOpen}
    aria-controls=${isOpen ? `step-${index}` : undefined}
    style=${{ "--depth": Math.min(step.depth, 6) }}
    onClick=${() => onToggle(step.id)}
  >
    <span class="step-name">
      <${Icon} name="chevron" size=${12} /><${Icon} name=${ICONS[step.state]} size=${14} />
      <span class="step-title">${oneLine(step.title)}</span>
      <small class="step-kind">
        ${step.branch && html`<span class="tag">${oneLine(step.branch)}</span> `}${kind && `${kind} · `}
        <span class="step-word">${oneLine(step.word)}</span>
      </small>
    </span>
    <span class="step-track">
      ${bar && html`<i class=${`step-bar ${step.state}`} style=${{ left: `${bar.left}%`, width: `${bar.width}%` }} />`}
    </span>
    <span class="step-time">${seconds === null ? "–" : duration(seconds)}</span>
  </button>`;
}

/** Return a kind in words: "self-serve trigger". @param {string} kind */
function kindOf(kind) {
  if (kind === "LOG" || kind === "REPORT") return "";
  return oneLine(kind).toLowerCase().replace("self_serve", "self-serve").replaceAll("_", " ");
}
