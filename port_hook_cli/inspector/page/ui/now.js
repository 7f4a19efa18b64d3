// @ts-check
// Relative times, which update while they are shown.
import { html, useEffect, useState } from "./ui.js";
import { ago } from "./format.js";

/**
 * Return the current time in milliseconds, which is updated in steps while it is shown.
 * @param {number} every_ms 0 stops the updates
 */
export function useNow(every_ms) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = every_ms ? setInterval(() => setNow(Date.now()), every_ms) : 0;
    return () => clearInterval(timer);
  }, [every_ms]);
  return now;
}

/**
 * How long ago a time was. `at` is in seconds since the epoch.
 * @param {{ at: number }} props
 */
export function Ago({ at }) {
  useNow(1000);
  return html`${ago(at)}`;
}
