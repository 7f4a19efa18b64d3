// @ts-check
// The content of the list: the numbers of all matches, the loaded rows, and new captures. Pure.
import { RowCache, Spans } from "./spans.js";

/** @import { Row } from "../net/types.js" */

// The server counts at most this many matches of a text, a run or an ID.
const MOST_MATCHES = 20_000;

/** The captures that match the filters. `shown` has the filters of the first rows, or null. */
export class Matches {
  constructor() {
    this.spans = /** @type {Spans | null} */ (null);
    this.shown = /** @type {string | null} */ (null);
    /** The numbers of captures that arrived while the list was scrolled. */
    this.waiting = /** @type {number[]} */ ([]);
    this.isAtTop = true;
    /** Whether the index is known to be complete. */
    this.isIndexed = false;
    this.cache = new RowCache();
    /** How many lists are being loaded, and new captures since the first rows of the last list. */
    this.loading = 0;
    this.arrived = /** @type {number[]} */ ([]);
  }

  /** The latest shown number. */
  get latest() {
    return this.spans?.latest ?? 0;
  }

  /**
   * The number at an index of the list.
   * @param {number} index
   */
  at(index) {
    return this.spans?.at(index);
  }

  /**
   * The first rows of a list. Rows of other filters appear immediately: with very many captures, finding the numbers
   * of all matches takes longer. Returns whether they are.
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
   * The numbers of all matches. In a scrolled list, newer numbers than the shown ones wait, so that no row moves.
   * Returns whether the numbers are outdated: the index was completed while they were counted.
   * @param {{ spans: [latest: number, oldest: number][], complete: boolean, count: number }} found
   */
  complete({ spans, complete, count }) {
    const whole = new Spans(spans, complete);
    const later = this.arrived.filter((seq) => seq > whole.latest);
    if (this.isAtTop) [this.spans, this.waiting] = [whole.plus(later), []];
    else {
      const [known, newer] = whole.split(this.latest);
      [this.spans, this.waiting] = [known, [...newer, ...later]];
    }
    return this.isIndexed && !complete && count < MOST_MATCHES;
  }

  /**
   * Add new and changed captures. Returns whether there are more matches.
   * @param {{ added: Row[], changed: Row[] }} rows
   */
  add({ added, changed }) {
    this.cache.put([...added, ...changed]);
    const seqs = added.map((row) => row.seq);
    if (this.loading) this.arrived.push(...seqs);
    const newer = seqs.filter((seq) => seq > this.latest);
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
