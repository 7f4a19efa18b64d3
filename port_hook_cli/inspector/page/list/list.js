// @ts-check
// The list. It draws only as many rows as fit, whatever the number of captures.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../ui/ui.js";
import { number } from "../ui/format.js";
import { Cells, labelOf } from "./row.js";

/** @import { Row } from "../net/types.js" */
/** @import { ListHandle } from "./cursor.js" */
/** @import { Feed } from "./feed.js" */

const COLUMNS = [
  ["when", "Time"], ["verdict", "Signature"], ["what", "Action"], ["digest", "Inputs"], ["run", "Run"], ["who", "Who"],
  ["response", "Response"], ["handler", ""],
];
// A browser cannot lay out more pixels than this. Longer lists scroll in larger steps.
const MOST_PIXELS = 12_000_000;
const OVERSCAN = 8;
const AT_TOP_PX = 4;

/**
 * The box of the list: how far it is scrolled, how high it is, and how high a row is, in pixels.
 * @typedef {{ top: number, height: number, row: number }} View
 */

/**
 * Return the size of a box, which is measured again when it changes.
 * @param {{ current: any }} box
 * @returns {[View, (change: (old: View) => View) => void]}
 */
function useView(box) {
  const [view, setView] = useState({ top: 0, height: 600, row: 38 });
  useLayoutEffect(() => {
    const measure = () => {
      const row = parseFloat(getComputedStyle(box.current).getPropertyValue("--row")); // list.css decides
      setView((old) => ({ ...old, height: box.current.clientHeight, row }));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    measure();
    return () => observer.disconnect();
  }, []);
  return [view, setView];
}

/** Return how the rows of a list are laid out in the list's box. @param {View} view @param {number} count */
function layoutOf({ top, height, row }, count) {
  const whole = count * row;
  const laidOut = Math.max(1, Math.min(whole, MOST_PIXELS));
  // The number of pixels of the list that one scrolled pixel stands for.
  const ratio = whole > laidOut ? (whole - height) / (laidOut - height) : 1;
  const offset = top * ratio;
  const first = Math.max(0, Math.floor(offset / row) - OVERSCAN);
  const last = Math.min(count, Math.ceil((offset + height) / row) + OVERSCAN);
  return { laidOut, ratio, first, last, shift: first * row - offset + top };
}

/**
 * @param {{ feed: Feed, open: string, marked: string, cursor: number, onOpen: (id: string, seq: number) => void,
 *   listRef: { current: ListHandle | null } }} props `cursor` is the number of a capture
 */
export function List({ feed, open, marked, cursor, onOpen, listRef }) {
  const { spans, waiting } = feed;
  const box = useRef(/** @type {any} */ (null));
  const [view, setView] = useView(box);
  const { height, row: rowHeight } = view;
  const count = spans?.count ?? 0;
  const { laidOut, ratio, first, last, shift } = layoutOf(view, count);
  useEffect(() => {
    for (let index = first; index < last; index++) if (feed.row(index) === undefined) return feed.want(index);
  }, [first, last, spans, feed.version]);
  useEffect(() => () => { listRef.current = null; }, []);
  listRef.current = {
    reveal(index) {
      const top = index * rowHeight;
      const shown = box.current.scrollTop * ratio;
      if (top < shown) box.current.scrollTop = top / ratio;
      else if (top + rowHeight > shown + height) box.current.scrollTop = (top + rowHeight - height) / ratio;
      box.current.scrollIntoView({ block: "nearest" }); // in low windows, the page scrolls too
    },
    focus: () => box.current?.focus(),
  };
  const onScroll = () => {
    const top = box.current.scrollTop;
    feed.setAtTop(top < AT_TOP_PX);
    setView((old) => ({ ...old, top }));
    if (top < AT_TOP_PX && waiting.length) feed.showWaiting();
  };
  const onClick = (event) => {
    const element = event.target.closest(".row");
    if (!element) return;
    const row = feed.row(first + [...element.parentNode.children].indexOf(element));
    if (row) onOpen(row.id, row.seq);
  };
  const showWaiting = () => {
    box.current.scrollTop = 0;
    feed.showWaiting();
  };
  // Elements are reused for other rows, because creating elements is slow. New captures don't change the keys of rows.
  const slots = Math.ceil(height / rowHeight) + 2 * OVERSCAN + 2;
  const held = new Set(feed.held.held.map((each) => each.id));
  const rows = [];
  let active;
  for (let index = first; index < last; index++) {
    const row = feed.row(index);
    const isOpen = row?.id === open;
    const isCurrent = !open && row?.seq === cursor;
    if (row && (isOpen || isCurrent)) active = `row-${row.id}`;
    const state = `${isOpen ? " open" : ""}${isCurrent ? " current" : ""}${row && row.id === marked ? " marked" : ""}`;
    rows.push(rowAt({ row, key: (count - index) % slots, index, count, isOpen, state, held }));
  }
  return html`<div class="list">
    <div class="list-head" aria-hidden="true">
      ${COLUMNS.map(([name, label]) => html`<span key=${name} class=${name}>${label}</span>`)}
    </div>
    ${waiting.length > 0 && html`<button type="button" class="waiting" onClick=${showWaiting}>
      ${number(waiting.length)} new
    </button>`}
    <div
      class="scroll"
      ref=${box}
      onScroll=${onScroll}
      role="listbox"
      aria-label="Captures"
      tabindex="0"
      aria-activedescendant=${active}
    >
      <div class="rows" style=${{ height: `${laidOut}px` }} role="presentation">
        <div class="shown" style=${{ transform: `translateY(${shift}px)` }} role="presentation" onClick=${onClick}>
          ${rows}
        </div>
      </div>
    </div>
  </div>`;
}

/**
 * A row, or its empty place while it is loaded.
 * @param {{ row: Row | undefined, key: number, index: number, count: number, isOpen: boolean, state: string,
 *   held: Set<string> }} place
 */
function rowAt({ row, key, index, count, isOpen, state, held }) {
  if (!row) return html`<div key=${key} class="row" role="presentation"><span class="ghost"></span></div>`;
  const label = labelOf(row);
  return html`<div
    key=${key}
    id=${`row-${row.id}`}
    class=${`row${state}`}
    role="option"
    aria-selected=${isOpen}
    aria-setsize=${count}
    aria-posinset=${index + 1}
    aria-label=${label.name}
    aria-description=${label.more || undefined}
  ><${Cells} row=${row} isHeld=${held.has(row.id)} /></div>`;
}
