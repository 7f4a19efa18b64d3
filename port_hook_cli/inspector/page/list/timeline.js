// Arrivals over time, with failures; dragging over it filters by time.
import { html, memo, useEffect, useRef, useState } from "../ui/ui.js";
import { get, query } from "../net/api.js";
import { go, readLocation } from "../net/location.js";
import { clockTime, fullTime, number } from "../ui/format.js";

const BUCKETS = 80;
const HEIGHT = 44;
const EVERY_MS = 1000;

/** `isListed` says that the first rows are there: the timeline takes longer, so it is asked for after them. */
export const Timeline = memo(({ filters, arrivals, isListed }) => {
  const [data, setData] = useState(null);
  const [drag, setDrag] = useState(null);
  const [hover, setHover] = useState(null);
  const box = useRef(null);
  const last = useRef(0);
  const key = query(filters);

  useEffect(() => {
    if (!isListed) return undefined;
    const leaving = new AbortController();
    const wait = Math.max(0, last.current + EVERY_MS - Date.now());
    const timer = setTimeout(() => {
      last.current = Date.now();
      get("/api/histogram", { ...filters, buckets: BUCKETS }, leaving.signal).then(setData).catch(() => {});
    }, last.current ? wait : 0);
    return () => {
      clearTimeout(timer);
      leaving.abort();
    };
  }, [key, arrivals, isListed]);

  if (!data) return html`<div class="timeline" ref=${box}></div>`;
  const most = Math.max(1, ...data.buckets.map(([total]) => total));
  const width = 100 / data.buckets.length;
  const bars = data.buckets.map(([total, failed], index) => {
    if (!total) return null;
    const whole = Math.max(3, (total / most) * HEIGHT);
    const bad = failed ? Math.max(2, (failed / total) * whole) : 0;
    const x = `${index * width}%`;
    return html`<g key=${index}>
      <rect class="bar" x=${x} y=${HEIGHT - whole} width=${`${width * 0.8}%`} height=${whole} rx="1.5" />
      ${bad > 0 && html`<rect class="bar failed" x=${x} y=${HEIGHT - bad} width=${`${width * 0.8}%`} height=${bad} rx="1.5" />`}
    </g>`;
  });
  const share = (event) => {
    const area = box.current.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - area.left) / area.width));
  };
  const at = (part) => data.from + part * (data.to - data.from);
  const onUp = () => {
    if (!drag) return;
    const [since, until] = [Math.min(...drag), Math.max(...drag)];
    setDrag(null);
    if (until - since < 0.005) return;
    go({ filters: { ...readLocation().filters, since: at(since).toFixed(3), until: at(until).toFixed(3) } });
  };
  const total = data.buckets.reduce((sum, [all]) => sum + all, 0);
  const failures = data.buckets.reduce((sum, [, failed]) => sum + failed, 0);
  const bucket = hover === null ? null : data.buckets[Math.min(data.buckets.length - 1, Math.floor(hover * data.buckets.length))];
  return html`<div class="timeline" ref=${box}
      onPointerDown=${(event) => { event.currentTarget.setPointerCapture(event.pointerId); setDrag([share(event), share(event)]); }}
      onPointerMove=${(event) => { const part = share(event); setHover(part); if (drag) setDrag([drag[0], part]); }}
      onPointerUp=${onUp} onPointerLeave=${() => setHover(null)}>
    <svg height=${HEIGHT} width="100%" role="img" aria-label=${`${number(total)} invocations over time, ${number(failures)} rejected or failed`}>${bars}
      ${drag && html`<rect class="selection" x=${`${Math.min(...drag) * 100}%`} y="0" width=${`${Math.abs(drag[1] - drag[0]) * 100}%`} height=${HEIGHT} />`}
    </svg>
    <div class="axis"><span>${fullTime(data.from).slice(0, -4)}</span>
      <span class="reading">${bucket ? `${number(bucket[0])} arrived, ${number(bucket[1])} rejected or failed` : "drag to filter by time"}</span>
      <span>${endTime(data.from, data.to)}</span></div>
  </div>`;
});

/** The end of a span of time: without its date if that is the date of the start. */
function endTime(from, to) {
  const isSameDay = new Date(from * 1000).toDateString() === new Date(to * 1000).toDateString();
  return isSameDay ? clockTime(to) : fullTime(to).slice(0, -4);
}
