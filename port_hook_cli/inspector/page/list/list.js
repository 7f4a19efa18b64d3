// The list: as many rows as fit, whatever the number of captures.
import { html, memo, Icon, useEffect, useLayoutEffect, useRef, useState } from "../ui/ui.js";
import { VerdictMark, hasWarning } from "../capture/verdict.js";
import { fullTime, handlerText, isPending, latency, nameOf, number, oneLine, responseText, statusTone, time, verdictOf } from "../ui/format.js";

const WIDE = 720;
// As in style.css.
const HEIGHTS = { wide: 38, narrow: 58 };
// A browser cannot lay out more pixels than this; longer lists scroll in larger steps.
const MOST_PIXELS = 12_000_000;
const OVERSCAN = 8;

export function List({ feed, open, marked, cursor, onOpen, listRef }) {
  const { spans, waiting } = feed;
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 600, width: 900 });

  useLayoutEffect(() => {
    const measure = () => setView((old) => ({ ...old, height: box.current.clientHeight, width: box.current.clientWidth }));
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    measure();
    return () => observer.disconnect();
  }, []);

  const isNarrow = view.width < WIDE;
  const height = isNarrow ? HEIGHTS.narrow : HEIGHTS.wide;
  const count = spans?.count ?? 0;
  const whole = count * height;
  const laidOut = Math.max(1, Math.min(whole, MOST_PIXELS));
  // How many pixels of the list pass for one that is scrolled.
  const ratio = whole > laidOut ? (whole - view.height) / (laidOut - view.height) : 1;
  const onScroll = () => {
    const top = box.current.scrollTop;
    feed.setAtTop(top < 4);
    setView((old) => ({ ...old, top }));
    if (top < 4 && waiting.length) feed.showWaiting();
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
    /** Scroll so that an index is visible. */
    reveal(index) {
      const top = index * height;
      const shown = box.current.scrollTop * ratio;
      if (top < shown) box.current.scrollTop = top / ratio;
      else if (top + height > shown + view.height) box.current.scrollTop = (top + height - view.height) / ratio;
    },
    focus() {
      box.current?.focus();
    },
    toTop() {
      box.current.scrollTop = 0;
    },
  };

  // Elements are used again for other rows: making them is what takes time. An arrival changes no key.
  const slots = Math.ceil(view.height / height) + 2 * OVERSCAN + 2;
  const rows = [];
  const held = new Set(feed.held.held.map((each) => each.id));
  for (let index = first; index < last; index++) {
    const row = feed.row(index);
    rows.push(html`<${Row}
      key=${(count - index) % slots} row=${row} isNarrow=${isNarrow}
      isOpen=${row?.id === open} isCurrent=${index === cursor && !open} isMarked=${row?.id === marked} isHeld=${held.has(row?.id)}
    />`);
  }
  const onClick = (event) => {
    const element = event.target.closest(".row");
    if (!element) return;
    const index = first + [...element.parentNode.children].indexOf(element);
    const row = feed.row(index);
    if (row) onOpen(row.id, index);
  };
  return html`<div class=${`list ${isNarrow ? "narrow" : "wide"}`}>
    ${!isNarrow && html`<div class="list-head" aria-hidden="true">
      <span>Time</span><span>Signature</span><span>Action</span><span>Run</span><span>Who</span><span>Handler</span><span>Response</span>
    </div>`}
    ${waiting.length > 0 && html`<button type="button" class="waiting" onClick=${() => { listRef.current.toTop(); feed.showWaiting(); }}>
      ${number(waiting.length)} new
    </button>`}
    <div class="scroll" ref=${box} onScroll=${onScroll} role="listbox" aria-label="Captures" tabindex="0"
      aria-activedescendant=${activeRow(feed, open, cursor)}>
      <div class="rows" style=${{ height: `${laidOut}px` }} role="presentation">
        <div class="shown" style=${{ transform: `translateY(${first * height - offset + view.top}px)` }} role="presentation" onClick=${onClick}>${rows}</div>
      </div>
    </div>
  </div>`;
}

function activeRow(feed, open, cursor) {
  const id = open || feed.row(cursor)?.id;
  return id ? `row-${id}` : undefined;
}

const Row = memo(({ row, isOpen, isCurrent, isMarked, isHeld, isNarrow }) => {
  if (row === undefined) return html`<div class="row empty" role="presentation"><span class="ghost"></span></div>`;
  const verdict = verdictOf(row.verdict);
  const handler = handlerText(row.handler);
  const name = nameOf(row).slice(0, 200);
  const when = time(row.received_at);
  return html`<div
    id=${`row-${row.id}`} class=${`row${isOpen ? " open" : ""}${isCurrent ? " current" : ""}${isMarked ? " marked" : ""}`}
    role="option" aria-selected=${isOpen}
    aria-label=${`${name}, signature ${verdict.word}${hasWarning(row) ? " with a warning" : ""}, response ${row.response ?? "none"}, ${when}`}
  >
    <span class="when" title=${fullTime(row.received_at)}>${when}</span>
    <${VerdictMark} row=${row} />
    <span class="what">
      <strong title=${name}>${name}</strong>
      ${row.operation && html`<small class="tag">${oneLine(row.operation)}</small>`}
      ${row.kind === "workflow-node" && html`<small class="tag">node</small>`}
      ${row.source === "kafka" && html`<small class="tag" title=${row.message}>kafka</small>`}
      ${row.source === "replay" && html`<small class="tag replay"><${Icon} name="replay" size=${11} />replay</small>`}
    </span>
    <span class="run mono">${oneLine(row.run_id ?? "–")}</span>
    <span class="who">${oneLine(row.user ?? (isNarrow ? row.run_id : null) ?? "–")}</span>
    <span class="handler">${row.handler
      ? html`${(!isNarrow || row.handler.status !== row.response) && html`<b class=${row.handler.status === null ? "bad" : statusTone(row.handler.status)}>${handler}</b>`} <small>${latency(row.handler.latency_ms)}</small>`
      : isHeld ? html`<b class="warn">held</b>` : html`<small class="dim">${isPending(row) ? "waiting" : row.response === null ? "no response" : "not forwarded"}</small>`}</span>
    <span class="response">${row.response === null
      ? html`<small class=${row.handler?.status === null ? "bad" : "dim"}>${responseText(row)}</small>`
      : html`<b class=${`pill ${statusTone(row.response)}`}>${row.response}</b>`}</span>
  </div>`;
});
