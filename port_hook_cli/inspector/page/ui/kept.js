// @ts-check
// Settings of the user, in the browser's storage if it has one.

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
 * Keep a setting; an empty one is forgotten.
 * @param {string} name
 * @param {string} value
 */
export function keep(name, value) {
  try {
    if (value) window.localStorage.setItem(PREFIX + name, value);
    else window.localStorage.removeItem(PREFIX + name);
  } catch {
    // it lasts until the page is closed
  }
}
