// @ts-check
// What the list shows: the numbers of all matches, their rows on demand, and what arrives meanwhile.
import { useCallback, useLayoutEffect, useRef, useState } from "../ui/ui.js";
import { NOTHING_HELD } from "../hold/hold.js";
import { follow, get, query } from "../net/api.js";
import { RowCache, Spans } from "./spans.js";
import { takeFirstPage } from "../net/start.js";

/** @import { Filters, Row, Session } from "../net/types.js" */
/** @import { ApiError } from "../net/door.js" */
/** @typedef {ReturnType<typeof useCaptures>} Feed */
/** @typedef {{ onRows?: (position: string) => void, isSecond?: boolean, isFresh?: boolean }} Options */

const PAGE = 60;
const RETRY_MS = 1000;
// During fast scrolling, pages that are already out of sight are not loaded.
const MAX_LOADING = 2;
// The server stops counting here for a text, a run or an id.
const MOST_MATCHES = 20_000;

/**
 * Load and follow the captures that match `filters`. `changes` counts the changes of the open capture.
 * @param {Filters} filters
 * @param {string} open the id of the open capture
 */
export function useCaptures(filters, open) {
  const [spans, setSpans] = useState(/** @type {Spans | null} */ (null));
  const [waiting, setWaiting] = useState(/** @type {number[]} */ ([]));
  const [session, setSession] = useState(/** @type {Session | null} */ (null));
  const [state, setState] = useState("connecting");
  const [problem, setProblem] = useState(/** @type {ApiError | null} */ (null));
  const [version, setVersion] = useState(0);
  const [arrivals, setArrivals] = useState(0);
  const [changes, setChanges] = useState(0);
  const [held, setHeld] = useState(NOTHING_HELD);
  // The filters whose first rows have arrived. Slower requests start after them.
  const [listed, setListed] = useState("");
  const cache = useRef(new RowCache());
  const shown = useRef(open);
  shown.current = open;
  const shownKey = useRef(/** @type {string | null} */ (null));
  const loading = useRef(/** @type {Set<number>} */ (new Set()));
  const isAtTop = useRef(true);
  const current = useRef(new Spans());
  // How many lists are being loaded, and what has arrived since the last list's rows.
  const counting = useRef(0);
  const newestLoad = useRef(0);
  const arrived = useRef(/** @type {number[]} */ ([]));
  // Whether the index is known to be complete.
  const isIndexed = useRef(false);
  const key = query(filters);

  /**
   * Load the list. `onRows` gets its position when the first rows arrive. The numbers of all matches follow.
   * With `isFresh`, the rows that are known may belong to other captures by now.
   * @param {AbortSignal} signal
   * @param {Options} [options]
   */
  const load = useCallback(async (signal, options = {}) => {
    const { onRows, isSecond = false, isFresh = false } = /** @type {Options} */ (options);
    counting.current++;
    const mine = ++newestLoad.current;
    try {
      const page = await takeFirstPage(filters, signal);
      if (signal.aborted) return false;
      if (isFresh) cache.current = new RowCache();
      cache.current.put(page.captures);
      arrived.current = [];
      const isFirst = shownKey.current !== key;
      if (isFirst) {
        // Among very many captures, finding the numbers of all matches takes longer than the first page.
        shownKey.current = key;
        current.current = spansOf(page.captures, page.next === null);
        setSpans(current.current);
        setListed(key);
      }
      setVersion((n) => n + 1);
      onRows?.(page.position);
      const [found, info] = await Promise.all([get("/api/spans", filters, signal), get("/api/session", {}, signal)]);
      if (mine !== newestLoad.current) return true; // what a later load has found is newer
      const isTop = isAtTop.current;
      const whole = new Spans(found.spans, found.complete);
      const later = arrived.current.filter((seq) => seq > whole.newest);
      current.current = isTop ? whole.plus(later) : whole;
      setSpans(current.current);
      setWaiting(isTop ? [] : later);
      setSession(info);
      setProblem(null);
      if (!isFirst) setArrivals((n) => n + 1);
      // The index was completed while the matches were counted: this event does not come again.
      const isOutdated = isIndexed.current && !found.complete && found.count < MOST_MATCHES;
      return isOutdated && !isSecond ? load(signal, { isSecond: true }) : true;
    } catch (/** @type {any} */ error) {
      if (error.name !== "AbortError") setProblem(error);
      return false;
    } finally {
      counting.current--;
    }
  }, [key]);

  // Before the first paint, so that it has the first rows if they have already arrived.
  useLayoutEffect(() => {
    const leaving = new AbortController();
    let stop = () => {};
    let timer = 0;
    let isAgain = false;
    // Where the events continue: after the list at this position, and after this capture.
    let position = "";
    let newest = /** @type {number | undefined} */ (undefined);
    loading.current = new Set();
    const again = () => {
      isAgain = true;
      clearTimeout(timer);
      timer = window.setTimeout(start, RETRY_MS);
    };
    const onState = (now) => {
      setState(now);
      if (now !== "waiting") return;
      setHeld(NOTHING_HELD);
      again();
    };
    // After the events end, the list is loaded again, because the listener may have been restarted.
    const start = async () => {
      const onRows = (found) => {
        [position, newest] = [found, undefined];
        begin();
      };
      const loaded = await load(leaving.signal, { onRows, isFresh: isAgain });
      if (leaving.signal.aborted) return;
      if (loaded) {
        if (isAgain) setChanges((n) => n + 1);
        return;
      }
      setState("closed");
      again();
    };
    const onCaptures = ({ added, changed }, at) => {
      newest = at;
      cache.current.put([...added, ...changed]);
      const seqs = added.map((row) => row.seq);
      if (counting.current) arrived.current.push(...seqs);
      const newer = seqs.filter((seq) => seq > current.current.newest);
      if (newer.length) {
        if (isAtTop.current) {
          current.current = current.current.plus(newer);
          setSpans(current.current);
        } else setWaiting((old) => [...old, ...newer]);
        setArrivals((n) => n + 1);
      }
      setVersion((n) => n + 1);
      const isShown = (row) => row.id === shown.current || row.replay_of === shown.current;
      if (added.some(isShown) || changed.some(isShown)) setChanges((n) => n + 1);
    };
    const onReset = ({ renumbered }, at) => {
      newest = at;
      if (renumbered) cache.current = new RowCache();
      load(leaving.signal);
    };
    const onSession = (info) => {
      isIndexed.current = info.search.complete ?? isIndexed.current;
      setSession((old) => {
        const search = { ...old?.search, ...defined(info.search) };
        return { ...info, count: old?.count ?? null, search };
      });
      if (info.search.complete && current.current.isComplete === false && !counting.current) load(leaving.signal);
    };
    const begin = () => {
      stop();
      // A browser opens at most six connections to a server for all of its tabs, so a hidden page closes its own.
      if (isHidden()) return;
      const handlers = { captures: onCaptures, held: setHeld, reset: onReset, session: onSession };
      stop = follow({ ...filters, after: newest }, position, handlers, onState);
    };
    const onVisibility = () => {
      if (isHidden()) {
        stop();
        setState("connecting");
      } else if (position) {
        setChanges((n) => n + 1);
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
  }, [key, load]);

  /**
   * Fetch the page with the row at an index, unless it or enough other pages are being loaded. `version` changes when
   * it is time to ask again.
   * @param {number} index
   */
  const want = useCallback((index) => {
    const from = current.current.at(index);
    const mine = loading.current;
    if (from === undefined || mine.has(from) || mine.size >= MAX_LOADING) return;
    mine.add(from);
    const rows = cache.current; // others replace them if the numbers are used again meanwhile
    get("/api/captures", { ...filters, from, limit: PAGE })
      .then((page) => rows.put(page.captures))
      .finally(() => mine.delete(from))
      .then(() => setVersion((n) => n + 1), setProblem);
  }, [key]);

  const showWaiting = useCallback(() => {
    setWaiting((seqs) => {
      current.current = current.current.plus(seqs);
      setSpans(current.current);
      return [];
    });
  }, []);

  return {
    spans, waiting, session, state, problem, version, changes, arrivals, held, want, showWaiting,
    isListed: listed === key,
    /** @param {number} index @returns {Row | undefined} */
    row: (index) => cache.current.get(spans?.at(index)),
    /** @param {string} id @returns {Row | undefined} the row, if it is loaded */
    find: (id) => cache.current.find(id),
    /** @param {boolean} value */
    setAtTop: (value) => { isAtTop.current = value; },
    retry: () => load(new AbortController().signal),
  };
}

const isHidden = () => document.visibilityState === "hidden";

/**
 * The spans of rows, given newest first.
 * @param {Row[]} rows
 * @param {boolean} isComplete
 */
function spansOf(rows, isComplete) {
  return new Spans([], isComplete).plus(rows.map((row) => row.seq).reverse());
}

function defined(fields) {
  return Object.fromEntries(Object.entries(fields ?? {}).filter(([, value]) => value !== null));
}
