// @ts-check
// The cursor that the keys move in the list. New captures change the places of captures, but not their numbers.
import { useEffect, useRef, useState } from "../ui/ui.js";
import { isTypingIn } from "../frame/keys.js";
import { go, readLocation } from "../net/location.js";

/** @import { Row } from "../net/types.js" */
/** @import { Feed } from "./feed.js" */
/** @typedef {{ reveal: (index: number) => void, focus: () => void }} ListHandle */

/**
 * Return the cursor. `number` is the number of its capture, if the cursor is drawn. `listRef` is for the list.
 * @param {Feed} feed
 * @param {{ open: string, view: string }} place
 * @param {Row | null} opened the row of the open capture
 */
export function useCursor(feed, place, opened) {
  const { spans } = feed;
  const listRef = useRef(/** @type {ListHandle | null} */ (null));
  const at = useRef(0);
  const [number, setNumber] = useState(0);
  // A deep link scrolls to its row only once.
  const revealed = useRef("");
  useEffect(() => {
    const index = opened && spans ? spans.indexOf(opened.seq) : -1;
    if (!place.open) revealed.current = "";
    if (index < 0 || !opened || !listRef.current || revealed.current === place.open) return;
    revealed.current = place.open;
    at.current = opened.seq;
    listRef.current.reveal(index);
  }, [place.open, place.view, opened?.seq, spans]);
  return {
    number,
    listRef,
    /** Return the row under the cursor, if it is loaded. */
    row: () => feed.row(spans?.indexOf(at.current) ?? -1),
    /** @param {number | undefined} seq */
    put: (seq) => { at.current = seq ?? at.current; },
    /** Draw the cursor, and focus the list. */
    show: () => {
      setNumber(at.current);
      requestAnimationFrame(() => isTypingIn(document.activeElement) || listRef.current?.focus());
    },
    /** Move the cursor by rows. The capture under the cursor replaces an open capture. @param {number} step */
    move: (step) => {
      const { open: id, view } = readLocation();
      if (view || !spans?.count) return;
      const index = Math.min(spans.count - 1, Math.max(0, spans.indexOf(at.current) + step));
      const row = feed.row(index);
      at.current = spans.at(index) ?? 0;
      setNumber(at.current);
      listRef.current?.reveal(index);
      if (row && id) go({ open: row.id, against: "" }, { replace: true });
    },
  };
}
