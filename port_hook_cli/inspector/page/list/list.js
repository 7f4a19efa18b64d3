// @ts-check
// The list: as many rows as fit, whatever the number of captures.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../ui/ui.js";
import { number } from "../ui/format.js";
import { Cells, labelOf } from "./row.js";

/** @import { Feed } from "./feed.js" */

const COLUMNS = [
  ["when", "Time"], ["verdict", "Signature"], ["what", "Action"], ["digest", "Inputs"], ["run", "Run"], ["who", "Who"],
  ["response", "Response"], ["handler", ""],
];
// A browser cannot lay out more pixels than this. Longer lists scroll in larger steps.
const MOST_PIXELS = 12_000_000;
const OVERSCAN = 8;
const AT_TOP_PX = 4;

/** @param {{ feed: Feed, cursor: number, [name: string]: any }} props `cursor` is the number of a capture */
export function List({ feed, open, marked, cursor, onOpen, listRef }) {
  const { spans, waiting } = feed;
  const box = useRef(/** @type {any} */ (null));
  const [view, setView] = useState({ top: 0, height: 600, row: 38 });

  useLayoutEffect(() => {
    const measure = () => {
      const row = parseFloat(getComputedStyle(box.current).getPropertyValue("--row")); // list.css decides
      setView((old) => ({ ...old, height: box.current.clientHeight, row }));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    measure();
    return () => {
      observer.disconnect();
      listRef.current = null;
    };
  }, []);

  const height = view.row;
  const count = spans?.count ?? 0;
  const whole = count * height;
  const laidOut = Math.max(1, Math.min(whole, MOST_PIXELS));
  // How many pixels of the list one scrolled pixel stands for.
  const ratio = whole > laidOut ? (whole - view.height) / (laidOut - view.height) : 1;
  const onScroll = () => {
    const top = box.current.scrollTop;
    feed.setAtTop(top < AT_TOP_PX);
    setView((old) => ({ ...old, top }));
    if (top < AT_TOP_PX && waiting.length) feed.showWaiting();
  };

  const offset = view.top * ratio;
  const first = Math.max(0, Math.floor(offset / height) - OVERSCAN);
  const last = Math.min(count, Math.ceil((offset + view.height) / height) + OVERSCAN);

  useEffect(() => {
    for (let index = first; index < last; index++) {
      if (feed.row(index) === undefined) {
        feed.want(index);
        break;
      }
    }
  }, [first, last, spans, feed.version]);

  listRef.current = {
    /**
     * Scroll so that an index is visible.
     * @param {number} index
     */
    reveal(index) {
      const top = index * height;
      const shown = box.current.scrollTop * ratio;
      if (top < shown) box.current.scrollTop = top / ratio;
      else if (top + height > shown + view.height) box.current.scrollTop = (top + height - view.height) / ratio;
      box.current.scrollIntoView({ block: "nearest" }); // in low windows, the page scrolls too
    },
    focus() {
      box.current?.focus();
    },
    toTop() {
      box.current.scrollTop = 0;
    },
  };

  // Elements are reused for other rows, because creating elements is slow. An arrival doesn't change keys.
  const slots = Math.ceil(view.height / height) + 2 * OVERSCAN + 2;
  const rows = [];
  const held = new Set(feed.held.held.map((each) => each.id));
  let active;
  for (let index = first; index < last; index++) {
    const row = feed.row(index);
    const key = (count - index) % slots;
    if (row === undefined) {
      rows.push(html`<div key=${key} class="row empty" role="presentation"><span class="ghost"></span></div>`);
      continue;
    }
    const label = labelOf(row);
    const isOpen = row.id === open;
    const isCurrent = !open && row.seq === cursor;
    if (isOpen || isCurrent) active = `row-${row.id}`;
    rows.push(html`<div
      key=${key}
      id=${`row-${row.id}`}
      class=${`row${isOpen ? " open" : ""}${isCurrent ? " current" : ""}${row.id === marked ? " marked" : ""}`}
      role="option"
      aria-selected=${isOpen}
      aria-setsize=${count}
      aria-posinset=${index + 1}
      aria-label=${label.name}
      aria-description=${label.more || undefined}
    ><${Cells} row=${row} isHeld=${held.has(row.id)} /></div>`);
  }
  const onClick = (event) => {
    const element = event.target.closest(".row");
    if (!element) return;
    const row = feed.row(first + [...element.parentNode.children].indexOf(element));
    if (row) onOpen(row.id, row.seq);
  };
  const showWaiting = () => {
    listRef.current.toTop();
    feed.showWaiting();
  };
  const shift = `translateY(${first * height - offset + view.top}px)`;
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
        <div class="shown" style=${{ transform: shift }} role="presentation" onClick=${onClick}>${rows}</div>
      </div>
    </div>
  </div>`;
}
