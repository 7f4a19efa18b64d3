// @ts-check
// Focuses a field that may not be drawn yet.
import { useEffect } from "./ui.js";

let wanted = "";

/**
 * Focus the field with this selector now, or when it is drawn.
 * @param {string} selector
 */
export function focusWhenDrawn(selector) {
  const field = /** @type {HTMLElement | null} */ (document.querySelector(selector));
  wanted = field ? "" : selector;
  field?.focus();
}

/**
 * Take the focus if it is wanted. This runs in the component that contains the field.
 * @param {string} selector
 */
export function useWantedFocus(selector) {
  useEffect(() => {
    if (wanted === selector) focusWhenDrawn(selector);
  }, []);
}
