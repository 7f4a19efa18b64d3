// @ts-check
// Loads data from the API for a component, reloads it when it changes, and cancels the load when the component is gone.
import { useCallback, useEffect, useRef, useState } from "./ui.js";

/** @import { ApiError } from "../net/door.js" */

/**
 * What `useResource` returns. `value` stays while the same resource is loaded again, and after a failure.
 * @template T
 * @typedef {object} Resource
 * @property {T | null} value
 * @property {ApiError | null} problem why the last attempt failed
 * @property {boolean} isLoading
 * @property {number} at when the value arrived, in milliseconds since the epoch
 * @property {() => void} reload
 */

/**
 * @template T
 * @typedef {{ key: string, value: T | null, problem: ApiError | null, isLoading: boolean, at: number }} State
 */

const NOTHING = { value: null, problem: null, isLoading: true, at: 0 };
const LONGEST_PAUSE_MS = 30_000;

/**
 * Load what `load` returns: once immediately, again when `key` or `version` changes, and again on `reload`.
 *
 * Another `key` is another resource, so the old value is discarded. A new `version` is a newer state of the same
 * resource, so the old value stays until the new value arrives. `every_ms` returns the number of milliseconds after
 * which a value is loaded again (0: never). `pace_ms` is the minimum time between the starts of two loads. With
 * `retry_ms`, a failed attempt is repeated after that time, and after longer times if more attempts fail.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {string} key "" loads nothing
 * @param {{ version?: unknown, retry_ms?: number, pace_ms?: number, every_ms?: (value: T) => number }} [options]
 * @returns {Resource<T>}
 */
export function useResource(load, key, { version = 0, retry_ms = 0, pace_ms = 0, every_ms = () => 0 } = {}) {
  const [state, setState] = useState(/** @type {State<T>} */ ({ ...NOTHING, key: "" }));
  const [tries, setTries] = useState(0);
  const failures = useRef(0);
  const begun = useRef(0);
  const latest = useRef({ load, every_ms });
  latest.current = { load, every_ms };
  const reload = useCallback(() => setTries((n) => n + 1), []);
  useEffect(() => {
    if (!key) return undefined;
    const leaving = new AbortController();
    let timer = 0;
    const again = (/** @type {number} */ pause_ms) => {
      if (pause_ms) timer = window.setTimeout(reload, pause_ms);
    };
    setState((old) => (old.key === key ? { ...old, isLoading: true } : { ...NOTHING, key }));
    const start = async () => {
      begun.current = Date.now();
      try {
        const value = await latest.current.load(leaving.signal);
        if (leaving.signal.aborted) return;
        failures.current = 0;
        setState({ key, value, problem: null, isLoading: false, at: Date.now() });
        again(latest.current.every_ms(value));
      } catch (/** @type {any} */ problem) {
        if (leaving.signal.aborted) return;
        setState((old) => ({ ...old, problem, isLoading: false }));
        again(Math.min(retry_ms * 2 ** failures.current++, Math.max(retry_ms, LONGEST_PAUSE_MS)));
      }
    };
    const wait_ms = begun.current + pace_ms - Date.now();
    if (wait_ms > 0) timer = window.setTimeout(start, wait_ms);
    else start();
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, [key, version, tries, retry_ms, pace_ms, reload]);
  const { value, problem, isLoading, at } = state.key === key ? state : NOTHING; // until the effect has run
  return { value, problem, isLoading, at, reload };
}
