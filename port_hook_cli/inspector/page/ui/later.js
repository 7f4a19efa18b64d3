// @ts-check
// Loads parts of the page when they are first shown. Looking at captures doesn't need them.
import { html, useEffect, useState, Button } from "./ui.js";

/** @import { Drawn } from "./ui.js" */

/**
 * Return a component that loads its module when it is first drawn.
 * @param {() => Promise<any>} load
 * @param {string} name the name of the module's export
 * @returns {(props: any) => Drawn}
 */
export function later(load, name) {
  /** @type {any} */
  let Loaded = null;
  return function Later(props) {
    const [state, setState] = useState("loading");
    useEffect(() => {
      if (Loaded) return;
      load().then((found) => {
        Loaded = found[name];
        setState("loaded");
      }, () => setState("failed"));
    }, []);
    if (Loaded) return html`<${Loaded} ...${props} />`;
    if (state === "loading") return html`<p class="note" role="status">Loading…</p>`;
    return html`<div class="note bad" role="alert">
      <p>The inspector does not respond. Is port-hook still running?</p>
      <${Button} label="Reload the page" onClick=${() => window.location.reload()} />
    </div>`;
  };
}
