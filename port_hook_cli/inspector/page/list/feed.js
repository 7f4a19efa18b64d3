// @ts-check
// The page's data about captures: the list, the session, and the held requests. The data follows the listener.
import { useCallback, useLayoutEffect, useRef, useState } from "../ui/ui.js";
import { NOTHING_HELD } from "../hold/hold.js";
import { captureUrl, get, query } from "../net/api.js";
import { takeFirstPage } from "../net/start.js";
import { useResource } from "../ui/resource.js";
import { keepUpToDate } from "./follow.js";
import { Matches } from "./matches.js";
import { RowCache } from "./spans.js";

/** @import { Capture, Filters, Row, Session } from "../net/types.js" */
/** @import { ApiError } from "../net/door.js" */
/** @typedef {ReturnType<typeof useCaptures>} Feed */

const PAGE = 60;
// During fast scrolling, pages of rows that are already out of sight are not loaded.
const MAX_LOADING = 2;

/** @type {(position: string) => void} */
const ignored = () => {};

/** Return a counter, and the function that increments it. @returns {[number, () => void]} */
function useCount() {
  const [count, set] = useState(0);
  return [count, useCallback(() => set((n) => n + 1), [])];
}

/**
 * Load and follow the captures that match `filters`. `changes` counts the changes of the open capture, `arrivals`
 * counts the changes of the number of matches, and `version` counts all changes.
 * @param {Filters} filters
 * @param {string} open the ID of the open capture
 */
export function useCaptures(filters, open) {
  const [list] = useState(() => new Matches());
  const [session, setSession] = useState(/** @type {Session | null} */ (null));
  const [state, setState] = useState("connecting");
  const [problem, setProblem] = useState(/** @type {ApiError | null} */ (null));
  const [held, setHeld] = useState(NOTHING_HELD);
  const [version, draw] = useCount();
  const [arrivals, countArrivals] = useCount();
  const [changes, countChanges] = useCount();
  const shown = useRef(open);
  shown.current = open;
  const latestLoad = useRef(0);
  const key = query(filters);

  /**
   * Load the list. `onRows` gets the position of the list when the first rows arrive. The numbers of all matches
   * follow. With `isFresh`, the known rows may now belong to other captures.
   * @param {AbortSignal} signal
   * @param {(position: string) => void} [onRows]
   * @param {{ isFresh?: boolean }} [options]
   * @returns {Promise<boolean>} whether the list is loaded
   */
  const load = useCallback(async (signal, onRows = ignored, { isFresh = false } = {}) => {
    list.loading++;
    const mine = ++latestLoad.current;
    try {
      const page = await takeFirstPage(filters, signal);
      if (signal.aborted) return false;
      if (isFresh) list.cache = new RowCache();
      const isOther = list.begin(key, page);
      draw();
      onRows(page.position);
      const [found, info] = await Promise.all([get("/api/spans", filters, signal), get("/api/session", {}, signal)]);
      if (mine !== latestLoad.current) return true; // a later load has newer rows
      list.complete(found);
      draw();
      setSession(info);
      setProblem(null);
      if (!isOther) countArrivals();
      return true;
    } catch (/** @type {any} */ error) {
      if (error.name !== "AbortError") setProblem(error);
      return false;
    } finally {
      list.loading--;
    }
  }, [key]);

  // This runs before the first paint, so that the paint has the first rows if they have already arrived.
  useLayoutEffect(() => {
    const leaving = new AbortController();
    const isShown = (/** @type {Row} */ row) => row.id === shown.current || row.replay_of === shown.current;
    const handlers = {
      captures: (/** @type {{ added: Row[], changed: Row[] }} */ { added, changed }) => {
        if (list.add({ added, changed })) countArrivals();
        draw();
        if (added.some(isShown) || changed.some(isShown)) countChanges();
      },
      held: setHeld,
      reset: (/** @type {{ renumbered: boolean }} */ { renumbered }) => {
        if (renumbered) list.cache = new RowCache();
        load(leaving.signal);
      },
      session: (/** @type {Session} */ info) => {
        setSession((old) => ({ ...info, count: old?.count ?? null })); // events lack the count
      },
    };
    const stop = keepUpToDate(filters, load, handlers, {
      onState: (now) => {
        setState(now);
        if (now === "waiting") setHeld(NOTHING_HELD);
      },
      onMissed: countChanges,
    });
    return () => {
      leaving.abort();
      stop();
    };
  }, [key, load]);

  return {
    spans: list.spans, waiting: list.waiting, isListed: list.shown === key,
    session, state, problem, version, changes, arrivals, held,
    want: useWant(list, filters, draw, setProblem),
    showWaiting: () => {
      list.showWaiting();
      draw();
    },
    /** @param {number} index @returns {Row | undefined} */
    row: (index) => list.cache.get(list.at(index)),
    /** @param {string} id @returns {Row | undefined} a loaded row */
    find: (id) => list.cache.find(id),
    /** @param {boolean} value */
    setAtTop: (value) => { list.isAtTop = value; },
    retry: () => load(new AbortController().signal),
  };
}

/**
 * Return a function that fetches the page of rows with the row at an index. The function does nothing if this page or
 * enough other pages are already being loaded. After each page, the list asks again.
 * @param {Matches} list
 * @param {Filters} filters
 * @param {() => void} onPage
 * @param {(error: ApiError) => void} onProblem
 */
function useWant(list, filters, onPage, onProblem) {
  const key = query(filters);
  const loading = useRef({ key, numbers: /** @type {Set<number>} */ (new Set()) });
  if (loading.current.key !== key) loading.current = { key, numbers: new Set() };
  return (/** @type {number} */ index) => {
    const from = list.at(index);
    const { numbers } = loading.current;
    if (from === undefined || numbers.has(from) || numbers.size >= MAX_LOADING) return;
    numbers.add(from);
    const rows = list.cache; // others replace them if the numbers are used again meanwhile
    get("/api/captures", { ...filters, from, limit: PAGE })
      .then((page) => rows.put(page.captures))
      .finally(() => numbers.delete(from))
      .then(onPage, onProblem);
  };
}

/**
 * Return the row of the open capture, which the list may not have loaded.
 * @param {string} id
 * @param {Feed} feed
 * @returns {Row | null}
 */
export function useOpened(id, feed) {
  const known = id ? feed.find(id) : undefined;
  const key = known || !feed.spans ? "" : id;
  const { value } = useResource((signal) => get(captureUrl(id), {}, signal), key);
  return known ?? /** @type {Capture | null} */ (value)?.row ?? null;
}
