// @ts-check
// Keeps a list up to date: loads the list, follows its events, and starts again after the events end.
import { follow } from "../net/api.js";

/** @import { Filters } from "../net/types.js" */

const RETRY_MS = 500;

const isHidden = () => document.visibilityState === "hidden";

/**
 * Load and follow a list until the returned function is called. After the events end, the list is loaded again, because
 * the listener may have been restarted. A hidden page does not follow its list, because a browser opens at most six
 * connections to a server for all of its tabs.
 * @param {Filters} filters
 * @param {(signal: AbortSignal, onRows: (position: string) => void, options: { isFresh: boolean }) => Promise<boolean>}
 *   load
 * @param {Record<string, (data: any) => void>} handlers by the name of the event
 * @param {{ onState: (state: "connecting" | "live" | "waiting" | "closed") => void, onMissed: () => void }} on
 *   `onMissed` says that events may have been missed
 */
export function keepUpToDate(filters, load, handlers, { onState, onMissed }) {
  const leaving = new AbortController();
  let stop = () => {};
  let timer = 0;
  let isAgain = false;
  // Events continue after the list at this position, and after this capture.
  let position = "";
  let latest = /** @type {number | undefined} */ (undefined);
  const again = () => {
    isAgain = true;
    clearTimeout(timer);
    timer = window.setTimeout(start, RETRY_MS);
  };
  const begin = () => {
    stop();
    if (isHidden()) return;
    stop = follow({ ...filters, after: latest }, position, handle, (state) => {
      onState(state);
      if (state === "waiting") again();
    });
  };
  /** @param {string} name @param {any} data @param {number} at */
  const handle = (name, data, at) => {
    if (name === "captures" || name === "reset") latest = at;
    handlers[name]?.(data);
  };
  const start = async () => {
    const isLoaded = await load(leaving.signal, (found) => {
      [position, latest] = [found, undefined];
      begin();
    }, { isFresh: isAgain });
    if (leaving.signal.aborted) return;
    if (isLoaded && isAgain) onMissed();
    if (isLoaded) return;
    onState("closed");
    again();
  };
  const onVisibility = () => {
    if (isHidden()) {
      stop();
      onState("connecting");
    } else if (position) {
      onMissed();
      begin();
    }
  };
  document.addEventListener("visibilitychange", onVisibility);
  start();
  return () => {
    document.removeEventListener("visibilitychange", onVisibility);
    leaving.abort();
    clearTimeout(timer);
    stop();
  };
}
