// @ts-check
// What comes from the API, for a component: fetched, replaced when it changes, abandoned when nobody needs it.
import { useCallback, useEffect, useRef, useState } from "./ui.js";

/** @import { ApiError } from "../net/door.js" */

/**
 * What `useResource` returns. `value` stays while the same resource is loaded again, and after a failure.
 * @template T
 * @typedef {object} Resource
 * @property {T | null} value
 * @property {ApiError | null} problem why the last try failed
 * @property {boolean} isLoading
 * @property {() => void} reload
 */

/**
 * Load what `load` returns: at once, when `key` or `version` changes, and on `reload`.
 *
 * The value of another `key` is another resource, so the old value goes. A new `version` is a newer state of the
 * same one, so the old value stays until the new one is there. A failed try is repeated after `retry_ms` if that
 * is given.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {string} key "" loads nothing
 * @param {{ version?: unknown, retry_ms?: number }} [options]
 * @returns {Resource<T>}
 */
export function useResource(load, key, { version = 0, retry_ms = 0 } = {}) {
  const [state, setState] = useState({ key: "", value: /** @type {T | null} */ (null), problem: null, isLoading: true });
  const [tries, setTries] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    if (!key) return undefined;
    const leaving = new AbortController();
    let timer = 0;
    setState((old) => (old.key === key ? { ...old, isLoading: true } : { key, value: null, problem: null, isLoading: true }));
    latest.current(leaving.signal).then(
      (value) => !leaving.signal.aborted && setState({ key, value, problem: null, isLoading: false }),
      (problem) => {
        if (leaving.signal.aborted) return;
        setState((old) => ({ ...old, problem, isLoading: false }));
        if (retry_ms) timer = window.setTimeout(() => setTries((n) => n + 1), retry_ms);
      },
    );
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, [key, version, tries, retry_ms]);
  const reload = useCallback(() => setTries((n) => n + 1), []);
  const isOther = state.key !== key; // until the effect has run
  return { value: isOther ? null : state.value, problem: isOther ? null : state.problem, isLoading: isOther || state.isLoading, reload };
}
