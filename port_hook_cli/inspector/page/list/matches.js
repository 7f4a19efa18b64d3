// @ts-check
// The content of the list: the numbers of all matches, the loaded rows, and new captures. This module is pure.
import { RowCache, Spans } from "./spans.js";

/** @import { Row } from "../net/types.js" */

/** The captures that match the filters. `shown` has the filters of the first rows, or null. */
export class Matches {
  constructor() {
    this.spans = /** @type {Spans | null} */ (null);
    this.shown = /** @type {string | null} */ (null);
    /** The numbers of captures that arrived while the list was scrolled down. */
    this.waiting = /** @type {number[]} */ ([]);
    this.isAtTop = true;
    this.cache = new RowCache();
    /** The number of lists that are being loaded, and new captures since the first rows of the last list. */
    this.loading = 0;
    this.arrived = /** @type {number[]} */ ([]);
  }

  /** Return the number of the latest capture that the list shows. */
  get latest() {
    return this.spans?.latest ?? 0;
  }

  /**
   * Return the number of the capture at an index of the list.
   * @param {number} index
   */
  at(index) {
    return this.spans?.at(index);
  }

  /**
   * Set the first rows of a list. Rows for other filters appear immediately, because finding the numbers of all matches
   * takes longer if there are very many captures. Return whether the rows appear immediately.
   * @param {string} filters
   * @param {{ captures: Row[], next: number | null }} page
   */
  begin(filters, { captures, next }) {
    this.cache.put(captures);
    this.arrived = [];
    if (this.shown === filters) return false;
    this.shown = filters;
    this.spans = new Spans([], next === null).plus(captures.map((row) => row.seq).reverse());
    return true;
  }

  /**
   * Set the numbers of all matches. In a scrolled list, numbers above the shown numbers wait, so that no row moves.
   * @param {{ spans: [latest: number, oldest: number][], complete: boolean }} found
   */
  complete({ spans, complete }) {
    const whole = new Spans(spans, complete);
    const later = this.arrived.filter((seq) => seq > whole.latest);
    if (this.isAtTop) [this.spans, this.waiting] = [whole.plus(later), []];
    else {
      const [known, newer] = whole.split(this.latest);
      [this.spans, this.waiting] = [known, [...newer, ...later]];
    }
  }

  /**
   * Add new and changed captures. Return whether there are more matches than before.
   * @param {{ added: Row[], changed: Row[] }} rows
   */
  add({ added, changed }) {
    this.cache.put([...added, ...changed]);
    const seqs = added.map((row) => row.seq);
    if (this.loading) this.arrived.push(...seqs);
    const known = new Set(this.waiting); // an event can bring captures that were already counted
    const newer = seqs.filter((seq) => seq > this.latest && !known.has(seq));
    if (!newer.length) return false;
    if (this.isAtTop) this.spans = (this.spans ?? new Spans()).plus(newer);
    else this.waiting = [...this.waiting, ...newer];
    return true;
  }

  /** Show the waiting captures. */
  showWaiting() {
    this.spans = (this.spans ?? new Spans()).plus(this.waiting);
    this.waiting = [];
  }
}
