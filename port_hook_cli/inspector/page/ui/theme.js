// @ts-check
// The colors of the page: system, light or dark. They are set before the first paint.
import { keep, kept } from "./kept.js";

export const THEMES = ["system", "light", "dark"];

export const theme = () => (THEMES.includes(kept("theme")) ? kept("theme") : "system");

/** @param {string} name one of THEMES */
export function setTheme(name) {
  keep("theme", name === "system" ? "" : name);
  document.documentElement.style.colorScheme = name === "system" ? "" : name;
}

setTheme(theme());
