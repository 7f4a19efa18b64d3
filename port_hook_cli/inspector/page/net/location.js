// @ts-check
// The page's state is in its URL, so that a reload, a shared link, and the back and forward buttons work.
import { useEffect, useState } from "../ui/ui.js";
import { FILTERS, readLocation } from "./place.js";

export { readLocation };

/**
 * Go to another state. The back button returns to the state before it, unless `replace` is true, as it is during
 * typing.
 * @param {Partial<ReturnType<typeof readLocation>>} change
 * @param {{ replace?: boolean }} [options]
 */
export function go(change, { replace = false } = {}) {
  const state = { ...readLocation(), ...change };
  const found = new URLSearchParams();
  for (const name of FILTERS) {
    for (const value of [state.filters[name] ?? []].flat()) if (value !== "") found.append(name, value);
  }
  for (const name of ["open", "tab", "against", "view"]) if (state[name]) found.set(name, state[name]);
  const path = window.location.pathname;
  const url = found.size ? `${path}?${found}` : path;
  if (url === window.location.pathname + window.location.search) return;
  window.history[replace ? "replaceState" : "pushState"](null, "", url);
  window.dispatchEvent(new Event("moved"));
}

export function useLocation() {
  const [state, setState] = useState(readLocation);
  useEffect(() => {
    const update = () => setState(readLocation());
    window.addEventListener("popstate", update);
    window.addEventListener("moved", update);
    return () => {
      window.removeEventListener("popstate", update);
      window.removeEventListener("moved", update);
    };
  }, []);
  return state;
}

/**
 * @param {string} name
 * @param {string | string[] | null} value
 * @param {{ replace?: boolean }} [options]
 */
export function setFilter(name, value, options) {
  const filters = { ...readLocation().filters };
  if (value === null || value === "" || (Array.isArray(value) && !value.length)) delete filters[name];
  else filters[name] = value;
  go({ filters, view: "" }, options); // this shows the list again
}
