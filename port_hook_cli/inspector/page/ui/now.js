// @ts-check
// Relative times that update while they are shown.
import { html, useEffect, useState } from "./ui.js";
import { ago } from "./format.js";

/**
 * How long ago a time was, in seconds since the epoch.
 * @param {{ at: number }} props
 */
export function Ago({ at }) {
  const [, setNow] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return html`${ago(at)}`;
}
