// @ts-check
// Times that pass while they are shown.
import { html, useEffect, useState } from "./ui.js";
import { ago } from "./format.js";

/**
 * The time in milliseconds, again every `every_ms`.
 * @param {number} every_ms
 */
function useNow(every_ms) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every_ms);
    return () => clearInterval(timer);
  }, [every_ms]);
  return now;
}

/**
 * How long ago a time was.
 * @param {{ at: number }} props seconds since the epoch
 */
export function Ago({ at }) {
  const isRecent = Date.now() / 1000 - at < 120;
  useNow(isRecent ? 1000 : 30_000);
  return html`${ago(at)}`;
}
