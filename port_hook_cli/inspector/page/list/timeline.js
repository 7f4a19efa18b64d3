// @ts-check
// A chart of arrivals over time, with failures. Dragging over the chart filters by time, like the "Time" button.
import { html, memo, useRef, useState } from "../ui/ui.js";
import { get, query } from "../net/api.js";
import { go, readLocation } from "../net/location.js";
import { clockTime, fullTime, number } from "../ui/format.js";
import { useResource } from "../ui/resource.js";

/** @import { Filters, Histogram } from "../net/types.js" */
/** @typedef {number[]} Counts total, rejected, failed */

const BUCKETS = 80;
const HEIGHT = 44;
const EVERY_MS = 1000;

/**
 * Return the counts over time, which are requested at most once a second. Old counts stay until new counts arrive.
 * @param {{ filters: Filters, arrivals: number, isListed: boolean }} wanted
 * @returns {Histogram | null}
 */
function useHistogram({ filters, arrivals, isListed }) {
  const version = useRef("");
  if (isListed) version.current = `${arrivals} ${query(filters)}`;
  const load = (signal) => get("/api/histogram", { ...filters, buckets: BUCKETS }, signal);
  const key = version.current && "histogram";
  return useResource(load, key, { version: version.current, pace_ms: EVERY_MS }).value;
}

/**
 * The timeline. `isListed` means that the first rows have arrived. The timeline is slower, so it is requested after
 * them.
 * @param {{ filters: Filters, arrivals: number, isListed: boolean }} props
 */
function TimelineOf(props) {
  const data = useHistogram(props);
  const [drag, setDrag] = useState(/** @type {[number, number] | null} */ (null));
  const [hover, setHover] = useState(/** @type {number | null} */ (null));
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  if (!data) return html`<div class="timeline" ref=${box}></div>`;

  const counts = data.buckets.map(([total, bad], at) => [total, data.rejected[at], bad - data.rejected[at]]);
  const share = (event) => {
    const area = /** @type {HTMLElement} */ (box.current).getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - area.left) / area.width));
  };
  const onDown = (event) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    setDrag([share(event), share(event)]);
  };
  const onMove = (event) => {
    const part = share(event);
    setHover(part);
    if (drag) setDrag([drag[0], part]);
  };
  const onUp = () => {
    if (!drag) return;
    const [since, until] = [Math.min(...drag), Math.max(...drag)];
    setDrag(null);
    if (until - since < 0.005) return;
    const at = (part) => (data.from + part * (data.to - data.from)).toFixed(3);
    go({ filters: { ...readLocation().filters, since: at(since), until: at(until) } });
  };
  const whole = words([0, 1, 2].map((kind) => counts.reduce((sum, each) => sum + each[kind], 0)));
  const [from, to] = [data.from, data.to].map((at) => fullTime(at).slice(0, -4));
  const at = hover === null ? null : Math.min(counts.length - 1, Math.floor(hover * counts.length));
  return html`<div class="timeline" ref=${box} onPointerDown=${onDown} onPointerMove=${onMove} onPointerUp=${onUp}
    onPointerLeave=${() => setHover(null)}>
    <svg height=${HEIGHT} width="100%" role="img" aria-label=${`${whole}, from ${from} to ${to}`}>
      <${Bars} counts=${counts} />
      ${drag && html`<rect class="selection" y="0" height=${HEIGHT}
        x=${`${Math.min(...drag) * 100}%`} width=${`${Math.abs(drag[1] - drag[0]) * 100}%`} />`}
    </svg>
    <div class="axis">
      <span>${from}</span>
      <span class="reading">${at === null ? `${whole} · drag to filter` : words(counts[at])}</span>
      <span>${endTime(data.from, data.to)}</span>
    </div>
  </div>`;
}

export const Timeline = memo(TimelineOf);

/** @param {Counts} counts */
function words([total, rejected, failed]) {
  const parts = [rejected && `${number(rejected)} rejected`, failed && `${number(failed)} failed`].filter(Boolean);
  return [`${number(total)} arrived`, ...parts].join(", ");
}

/** @param {{ counts: Counts[] }} props */
function Bars({ counts }) {
  const most = Math.max(1, ...counts.map(([total]) => total));
  const width = 100 / counts.length;
  return html`${counts.map(([total, rejected, failed], index) => {
    if (!total) return null;
    const whole = Math.max(3, (total / most) * HEIGHT);
    const bad = rejected + failed ? Math.max(2, ((rejected + failed) / total) * whole) : 0;
    const place = { x: `${index * width}%`, width: `${width * 0.8}%`, rx: "1.5" };
    return html`<g key=${index}>
      <rect class="bar" ...${place} y=${HEIGHT - whole} height=${whole} />
      ${bad > 0 && html`<rect class="bar failed" ...${place} y=${HEIGHT - bad} height=${bad} />`}
    </g>`;
  })}`;
}

/**
 * Return the end of a period as text, without its date if the period starts on the same day.
 * @param {number} from
 * @param {number} to
 */
function endTime(from, to) {
  const isSameDay = new Date(from * 1000).toDateString() === new Date(to * 1000).toDateString();
  return isSameDay ? clockTime(to) : fullTime(to).slice(0, -4);
}
