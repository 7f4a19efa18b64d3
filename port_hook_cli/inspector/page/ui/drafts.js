// @ts-check
// Keeps the user's input until the page is reloaded. The user may leave a tab or a dialog and return.
import { useState } from "./ui.js";

/**
 * Stores values by key. If there are too many values, the oldest value is removed.
 * @template V
 */
export class Drafts {
  /** @type {Map<string, V>} */
  #values = new Map();

  constructor(most) {
    this.most = most;
  }

  get(key) {
    return this.#values.get(key);
  }

  set(key, value) {
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size > this.most) this.#values.delete([...this.#values.keys()][0]);
  }
}

/**
 * Return the draft for a key, and a function that changes some fields of the draft.
 * @template {object} V
 * @param {Drafts<V>} drafts
 * @param {string} key
 * @param {V} initial
 * @returns {[V, (fields: Partial<V>) => void]}
 */
export function useDraft(drafts, key, initial) {
  const [, draw] = useState(0);
  const draft = () => drafts.get(key) ?? initial;
  const change = (fields) => {
    drafts.set(key, { ...draft(), ...fields });
    draw((n) => n + 1);
  };
  return [draft(), change];
}
