// @ts-check
// The line between the list and the detail. The user drags the line, or moves it with the arrow keys.
import { html, useLayoutEffect, useRef, useState } from "../ui/ui.js";
import { keep, kept } from "../ui/kept.js";

const USUAL = 40;
const LEAST = 20;
const MOST = 75;
const STEP = 2;

/** @param {number} share */
const within = (share) => Math.min(MOST, Math.max(LEAST, Math.round(share * 10) / 10 || USUAL));

export function Split() {
  const [share, setShare] = useState(() => within(Number(kept("split"))));
  const line = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    line.current?.parentElement?.style.setProperty("--split", `${share}%`);
    keep("split", share === USUAL ? "" : String(share));
  }, [share]);
  const onPointerMove = (event) => {
    const area = line.current?.parentElement?.getBoundingClientRect();
    if (!area || !line.current?.hasPointerCapture(event.pointerId)) return;
    setShare(within(((event.clientX - area.left) / area.width) * 100));
  };
  const onKeyDown = (event) => {
    const to = { ArrowLeft: share - STEP, ArrowRight: share + STEP, Home: LEAST, End: MOST }[event.key];
    if (to === undefined) return;
    setShare(within(to));
    event.preventDefault();
  };
  return html`<div
    class="split"
    ref=${line}
    role="separator"
    aria-orientation="vertical"
    aria-label="Width of the list"
    aria-valuenow=${Math.round(share)}
    aria-valuemin=${LEAST}
    aria-valuemax=${MOST}
    tabindex="0"
    title="Drag, or press the arrow keys. Double-click to reset the width."
    onPointerDown=${(event) => event.currentTarget.setPointerCapture(event.pointerId)}
    onPointerMove=${onPointerMove}
    onDblClick=${() => setShare(USUAL)}
    onKeyDown=${onKeyDown}
  ></div>`;
}
