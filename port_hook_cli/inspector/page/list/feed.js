// What the list shows: the numbers of all matches, their rows on demand, and what arrives meanwhile.
import { useCallback, useLayoutEffect, useRef, useState } from "../ui/ui.js";
import { NOTHING_HELD } from "../hold/hold.js";
import { follow, get, query } from "../net/api.js";
import { RowCache, Spans } from "./spans.js";
import { takeFirstPage } from "../net/start.js";

const PAGE = 60;
const RETRY_MS = 1000;
// While the list is scrolled fast, pages that are out of sight again are not loaded.
const MAX_LOADING = 2;
// The server counts no more matches of a text, a run or an id.
const MOST_MATCHES = 20_000;

/** Load and follow the captures that match `filters`. `changes` counts what has happened to the open capture. */
export function useCaptures(filters, open) {
  const [spans, setSpans] = useState(null);
  const [waiting, setWaiting] = useState([]);
  const [session, setSession] = useState(null);
  const [state, setState] = useState("connecting");
  const [problem, setProblem] = useState(null);
  const [version, setVersion] = useState(0);
  const [arrivals, setArrivals] = useState(0);
  const [changes, setChanges] = useState(0);
  const [held, setHeld] = useState(NOTHING_HELD);
  // The filters of which the first rows are there. Everything that takes longer is asked for after them.
  const [listed, setListed] = useState(null);
  const cache = useRef(new RowCache());
  const shown = useRef(open);
  shown.current = open;
  const shownKey = useRef(null);
  const loading = useRef(new Set());
  const isAtTop = useRef(true);
  const current = useRef(null);
  // How many lists are being loaded, and what has arrived since the rows of the last one.
  const counting = useRef(0);
  const arrived = useRef([]);
  // Whether the index is known to be complete.
  const isIndexed = useRef(false);
  const key = query(filters);

  /** Load the list. `onRows` gets its position as soon as the first rows are there; the numbers of all matches follow. */
  const load = useCallback(async (signal, onRows = () => {}, isSecond = false) => {
    counting.current++;
    try {
      const page = await takeFirstPage(filters, signal);
      if (signal.aborted) return false;
      cache.current.put(page.captures);
      arrived.current = [];
      const isFirst = shownKey.current !== key;
      if (isFirst) {
        // Among very many captures, finding the numbers of all matches takes longer than the first page.
        shownKey.current = key;
        current.current = Object.assign(spansOf(page.captures), { isComplete: page.next === null });
        setSpans(current.current);
        setListed(key);
      }
      setVersion((n) => n + 1);
      onRows(page.position);
      const [found, info] = await Promise.all([get("/api/spans", filters, signal), get("/api/session", {}, signal)]);
      const isTop = isAtTop.current;
      const whole = new Spans(found.spans);
      const later = arrived.current.filter((seq) => seq > whole.newest);
      current.current = Object.assign(isTop ? whole.plus(later) : whole, { isComplete: found.complete });
      setSpans(current.current);
      setWaiting(isTop ? [] : later);
      setSession(info);
      setProblem(null);
      if (!isFirst) setArrivals((n) => n + 1);
      // The index was completed while the matches were counted: this event does not come again.
      if (isIndexed.current && !found.complete && found.count < MOST_MATCHES && !isSecond) return load(signal, undefined, true);
      return true;
    } catch (error) {
      if (error.name !== "AbortError") setProblem(error);
      return false;
    } finally {
      counting.current--;
    }
  }, [key]);

  // Before the page is painted, so that the first rows are in its first picture if they are there already.
  useLayoutEffect(() => {
    const leaving = new AbortController();
    let stop = () => {};
    let timer = 0;
    let isAgain = false;
    loading.current = new Set();
    const again = () => {
      isAgain = true;
      clearTimeout(timer);
      timer = setTimeout(start, RETRY_MS);
    };
    const onState = (now) => {
      setState(now);
      if (now === "waiting") {
        setHeld(NOTHING_HELD);
        again();
      }
    };
    // After the events have ended, the list is loaded again: the listener may have been started again meanwhile.
    const start = async () => {
      const loaded = await load(leaving.signal, begin);
      if (leaving.signal.aborted) return;
      if (loaded) {
        if (isAgain) setChanges((n) => n + 1);
        return;
      }
      setState("closed");
      again();
    };
    const begin = (position) => {
      stop();
      stop = follow(filters, position, {
        captures: ({ added, changed }) => {
          cache.current.put([...added, ...changed]);
          if (counting.current) arrived.current.push(...added.map((row) => row.seq));
          const seqs = added.map((row) => row.seq).filter((seq) => seq > current.current.newest);
          if (seqs.length) {
            if (isAtTop.current) {
              current.current = Object.assign(current.current.plus(seqs), { isComplete: current.current.isComplete });
              setSpans(current.current);
            } else setWaiting((old) => [...old, ...seqs]);
            setArrivals((n) => n + 1);
          }
          setVersion((n) => n + 1);
          const isShown = (row) => row.id === shown.current || row.replay_of === shown.current;
          if (added.some(isShown) || changed.some(isShown)) setChanges((n) => n + 1);
        },
        held: setHeld,
        reset: () => load(leaving.signal),
        session: (info) => {
          isIndexed.current = info.search.complete ?? isIndexed.current;
          setSession((old) => ({ ...info, count: old?.count ?? null, search: { ...old?.search, ...defined(info.search) } }));
          if (info.search.complete && current.current?.isComplete === false && !counting.current) load(leaving.signal);
        },
      }, onState);
    };
    start();
    return () => {
      leaving.abort();
      clearTimeout(timer);
      stop();
    };
  }, [key, load]);

  /** Fetch the page with the row at an index, unless it or enough others are on their way: `version` tells when to ask again. */
  const want = useCallback((index) => {
    const from = current.current?.at(index);
    const mine = loading.current;
    if (from === undefined || mine.has(from) || mine.size >= MAX_LOADING) return;
    mine.add(from);
    get("/api/captures", { ...filters, from, limit: PAGE })
      .then((page) => cache.current.put(page.captures))
      .finally(() => mine.delete(from))
      .then(() => setVersion((n) => n + 1), setProblem);
  }, [key]);

  const showWaiting = useCallback(() => {
    setWaiting((seqs) => {
      current.current = Object.assign(current.current.plus(seqs), { isComplete: current.current.isComplete });
      setSpans(current.current);
      return [];
    });
  }, []);

  return {
    spans, waiting, session, state, problem, version, changes, arrivals, held, want, showWaiting,
    isListed: listed === key,
    row: (index) => cache.current.get(spans?.at(index)),
    setAtTop: (value) => { isAtTop.current = value; },
    retry: () => load(new AbortController().signal),
  };
}

/** The spans of rows, given newest first. */
function spansOf(rows) {
  return new Spans().plus(rows.map((row) => row.seq).reverse());
}

function defined(fields) {
  return Object.fromEntries(Object.entries(fields ?? {}).filter(([, value]) => value !== null));
}
