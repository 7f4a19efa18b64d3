// @ts-check
// Collects the three libraries: Preact, its hooks, and htm. The types come from Preact's npm package.
import * as preact from "../vendor/preact.js";
import * as hooks from "../vendor/hooks.js";
import htm from "../vendor/htm.js";

/** @import * as Preact from "preact" */
/** @import * as Hooks from "preact/hooks" */
/** @typedef {Preact.VNode<any>} Drawn What a component returns. */

const { h, render, Component } = /** @type {typeof Preact} */ (/** @type {unknown} */ (preact));
export { render, Component };
export const { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } =
  /** @type {typeof Hooks} */ (/** @type {unknown} */ (hooks));
/** @type {(strings: TemplateStringsArray, ...values: unknown[]) => Drawn} */
export const html = /** @type {any} */ (htm).bind(h);

/**
 * Return the component, redrawn only when one of its properties changes.
 * @template P
 * @param {(props: P) => Drawn} Inner
 */
export function memo(Inner) {
  /** @extends {Component<any>} */
  return class extends Component {
    /** @param {Record<string, unknown>} next */
    shouldComponentUpdate(next) {
      return Object.keys({ ...this.props, ...next }).some((name) => this.props[name] !== next[name]);
    }

    /** @param {any} props */
    render(props) {
      return h(Inner, props);
    }
  };
}

/** @type {Record<string, string>} */
const PATHS = {
  check: "M20 6 9 17l-5-5",
  x: "M18 6 6 18M6 6l12 12",
  clock: "M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  question: "M9.1 9a3 3 0 0 1 5.8 1c0 2-3 3-3 3M12 17h.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  alert: "M12 9v4M12 17h.01M10.3 3.9 1.8 18a2 2 0 0 0 1.7 3h17a2 2 0 0 0 1.7-3L13.7 3.900a2 2 0 0 0-3.4 0Z",
  swap: "M7 4 3 8l4 4M3 8h14M17 20l4-4-4-4M21 16H7",
  minus: "M5 12h14",
  search: "M21 21l-4.3-4.300M11 19a8 8 0 1 1 0-16 8 8 0 0 1 0 16Z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  replay: "M3 12a9 9 0 1 0 3-6.700L3 8M3 3v5h5",
  edit: "M12 20h9M16.5 3.500a2.1 2.1 0 0 1 3 3L7 19l-4 1 1-4Z",
  compare: "M12 3v18M5 8h3M5 12h3M16 8h3M16 12h3M5 16h3M16 16h3",
  download: "M12 3v12m0 0 5-5m-5 5-5-5M4 21h16",
  back: "M15 18l-6-6 6-6",
  pause: "M8 5v14M16 5v14",
  play: "M6 4l14 8-14 8Z",
  chevron: "M9 6l6 6-6 6",
  lock: "M6 11h12v10H6zM8 11V7a4 4 0 0 1 8 0v4",
  link: "M10 14a5 5 0 0 0 7 0l3-3a5 5 0 0 0-7-7l-1 1M14 10a5 5 0 0 0-7 0l-3 3a5 5 0 0 0 7 7l1-1",
  shield: "M12 3l8 3v6c0 4.500-3.300 7.600-8 9-4.700-1.400-8-4.500-8-9V6ZM8.500 12l2.500 2.500 4.500-4.500",
  clear: "M5.600 5.600l12.800 12.800M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  theme: "M12 3v18M12 7h4.500M12 11h6.500M12 15h6M12 19h3M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  flag: "M5 21V4M5 4h13l-3 4.5 3 4.500H5",
};

/**
 * An icon that screen readers ignore, because they read the text beside it.
 * @param {{ name: string, size?: number }} props
 */
export function Icon({ name, size = 16 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"
      stroke-linejoin="round" />
  </svg>`;
}

/**
 * A button. With `iconOnly`, the button shows its label as a tooltip.
 * @param {{ icon?: string, label: string, onClick?: (event: any) => void, primary?: boolean, disabled?: boolean,
 *   title?: string, iconOnly?: boolean, pressed?: boolean, submit?: boolean }} props
 */
export function Button({ icon, label, onClick, primary, disabled, title, iconOnly, pressed, submit }) {
  return html`<button
    type=${submit ? "submit" : "button"}
    class=${`button${primary ? " primary" : ""}${iconOnly ? " icon-only" : ""}`}
    onClick=${onClick}
    disabled=${disabled}
    title=${title ?? (iconOnly ? label : undefined)}
    aria-label=${iconOnly ? label : undefined}
    aria-pressed=${pressed}
  >
    ${icon && html`<${Icon} name=${icon} />`}${!iconOnly && html`<span>${label}</span>`}
  </button>`;
}
