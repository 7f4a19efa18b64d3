// @ts-check
// The user's input, until the page is reloaded. The user may leave a tab or dialog and return.
import { useState } from "./ui.js";

/**
 * Values by key. If there are too many, the oldest value is removed.
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
 * The draft of a key, and a function that changes some of its fields.
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
