// What the list shows: the numbers of all matches, their rows on demand, and what arrives meanwhile.
import { useCallback, useEffect, useRef, useState } from "./ui.js";
import { follow, get, query } from "./api.js";
import { RowCache, Spans } from "./spans.js";

const PAGE = 60;
const RETRY_MS = 1000;

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
  const cache = useRef(new RowCache());
  const shown = useRef(open);
  shown.current = open;
  const loading = useRef(new Set());
  const isAtTop = useRef(true);
  const current = useRef(null);
  const key = query(filters);

  const load = useCallback(async (signal) => {
    try {
      const asked = [get("/api/spans", filters, signal), get("/api/session", {}, signal)];
      asked.forEach((each) => each.catch(() => {})); // awaited below
      const page = await get("/api/captures", { ...filters, limit: PAGE }, signal);
      cache.current.put(page.captures);
      // Among very many captures, finding the numbers of all matches takes longer than the first page.
      current.current = Object.assign(spansOf(page.captures), { isComplete: page.next === null });
      setSpans(current.current);
      const [found, info] = await Promise.all(asked);
      current.current = new Spans(found.spans);
      current.current.isComplete = found.complete;
      setSpans(current.current);
      setWaiting([]);
      setSession(info);
      setProblem(null);
      setArrivals((n) => n + 1);
      return true;
    } catch (error) {
      if (error.name !== "AbortError") setProblem(error);
      return false;
    }
  }, [key]);

  useEffect(() => {
    const leaving = new AbortController();
    let stop = () => {};
    let timer = 0;
    let isAgain = false;
    loading.current.clear();
    const again = () => {
      isAgain = true;
      clearTimeout(timer);
      timer = setTimeout(start, RETRY_MS);
    };
    const onState = (now) => {
      setState(now);
      if (now === "waiting") again();
    };
    // After the events have ended, the list is loaded again: the listener may have been started again meanwhile.
    const start = () => load(leaving.signal).then((loaded) => {
      if (leaving.signal.aborted) return;
      if (!loaded) {
        setState("closed");
        again();
        return;
      }
      if (isAgain) setChanges((n) => n + 1);
      stop = follow(filters, current.current.newest, {
        captures: ({ added, changed }) => {
          cache.current.put([...added, ...changed]);
          const seqs = added.map((row) => row.seq);
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
        reset: () => load(leaving.signal),
        session: (info) => {
          setSession((old) => ({ ...info, count: old?.count ?? null, search: { ...old?.search, ...defined(info.search) } }));
          if (info.search.complete && current.current?.isComplete === false) load(leaving.signal);
        },
      }, onState);
    });
    start();
    return () => {
      leaving.abort();
      clearTimeout(timer);
      stop();
    };
  }, [key, load]);

  /** Fetch the page with the row at an index, unless it is on its way. */
  const want = useCallback((index) => {
    const found = current.current;
    const from = found?.at(index);
    if (from === undefined || loading.current.has(from)) return;
    loading.current.add(from);
    get("/api/captures", { ...filters, from, limit: PAGE })
      .then((page) => {
        cache.current.put(page.captures);
        setVersion((n) => n + 1);
      })
      .catch(setProblem)
      .finally(() => loading.current.delete(from));
  }, [key]);

  const showWaiting = useCallback(() => {
    setWaiting((seqs) => {
      current.current = Object.assign(current.current.plus(seqs), { isComplete: current.current.isComplete });
      setSpans(current.current);
      return [];
    });
  }, []);

  return {
    spans, waiting, session, state, problem, version, changes, arrivals, want, showWaiting,
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
