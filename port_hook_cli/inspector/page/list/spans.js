// @ts-check
// The numbers of all matches as spans [latest, oldest] of consecutive numbers, because the page doesn't hold all
// captures.

/** @import { Row } from "../net/types.js" */

export class Spans {
  /**
   * @param {[latest: number, oldest: number][]} spans
   * @param {boolean} [isComplete] false if there are more matches
   */
  constructor(spans = [], isComplete = undefined) {
    this.spans = spans;
    this.isComplete = isComplete;
    this.starts = /** @type {number[]} */ ([]);
    let count = 0;
    for (const [latest, oldest] of spans) {
      this.starts.push(count);
      count += latest - oldest + 1;
    }
    this.count = count;
  }

  /**
   * Return the number at an index, counted from the latest number. Return undefined beyond the end.
   * @param {number} index
   */
  at(index) {
    if (index < 0 || index >= this.count) return undefined;
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= index) low = middle;
      else high = middle - 1;
    }
    return this.spans[low][0] - (index - this.starts[low]);
  }

  /**
   * Return the index of a number, or -1.
   * @param {number} seq
   */
  indexOf(seq) {
    for (let i = 0; i < this.spans.length; i++) {
      const [latest, oldest] = this.spans[i];
      if (seq <= latest && seq >= oldest) return this.starts[i] + latest - seq;
    }
    return -1;
  }

  get latest() {
    return this.spans.length ? this.spans[0][0] : 0;
  }

  /**
   * Return the spans up to `seq`, and the numbers above `seq`, oldest first.
   * @param {number} seq
   * @returns {[Spans, number[]]}
   */
  split(seq) {
    const known = /** @type {[number, number][]} */ ([]);
    const newer = [];
    for (const [latest, oldest] of this.spans) {
      for (let above = latest; above >= oldest && above > seq; above--) newer.push(above);
      if (oldest <= seq) known.push([Math.min(latest, seq), oldest]);
    }
    return [new Spans(known, this.isComplete), newer.reverse()];
  }

  /**
   * Return these spans with newer numbers in front. The newer numbers are passed oldest first.
   * @param {number[]} seqs
   */
  plus(seqs) {
    const spans = this.spans.slice();
    for (const seq of seqs) {
      const first = spans[0];
      if (first && seq <= first[0]) continue;
      if (first && seq === first[0] + 1) spans[0] = [seq, first[1]];
      else spans.unshift([seq, seq]);
    }
    return new Spans(spans, this.isComplete);
  }
}

/** Stores rows by their numbers. Beyond `limit`, the oldest rows are removed. */
export class RowCache {
  constructor(limit = 1000) {
    this.limit = limit;
    this.rows = /** @type {Map<number | undefined, Row>} */ (new Map());
  }

  /** @param {number | undefined} seq */
  get(seq) {
    return this.rows.get(seq);
  }

  /** @param {string} id */
  find(id) {
    for (const row of this.rows.values()) if (row.id === id) return row;
    return undefined;
  }

  /**
   * Store rows. An older state of a row doesn't replace a row whose outcome is known.
   * @param {Row[]} rows
   */
  put(rows) {
    for (const row of rows) {
      const known = this.rows.get(row.seq);
      this.rows.delete(row.seq);
      this.rows.set(row.seq, known?.id === row.id && outcomes(known) > outcomes(row) ? known : row);
    }
    for (const seq of this.rows.keys()) {
      if (this.rows.size <= this.limit) break;
      this.rows.delete(seq);
    }
  }
}

/** Return how much of a row's outcome is known. */
function outcomes(row) {
  return Number(row.response !== null) + Number(row.handler !== null);
}
