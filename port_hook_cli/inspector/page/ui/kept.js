// @ts-check
// Saves the user's settings in the browser's storage, if it is available.

const PREFIX = "port-hook-";

/** @param {string} name */
export function kept(name) {
  try {
    return window.localStorage.getItem(PREFIX + name) ?? "";
  } catch {
    return "";
  }
}

/**
 * Save a setting. An empty value deletes it.
 * @param {string} name
 * @param {string} value
 */
export function keep(name, value) {
  try {
    if (value) window.localStorage.setItem(PREFIX + name, value);
    else window.localStorage.removeItem(PREFIX + name);
  } catch {
    // the setting lasts until the page is closed
  }
}
