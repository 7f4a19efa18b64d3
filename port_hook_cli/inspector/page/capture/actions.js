// @ts-check
// The actions on a capture, started by a key or a button.
import { useCallback, useMemo, useRef, useState } from "../ui/ui.js";
import { captureUrl, get, post } from "../net/api.js";
import { go, readLocation } from "../net/location.js";
import { copy, download, say } from "../ui/copy.js";
import { focusWhenDrawn } from "../ui/focus.js";

/** @import { Sent } from "../net/types.js" */
/** @import { ApiError } from "../net/door.js" */
/** @typedef {{ id: string, sent: Sent | null, problem: ApiError | null }} Replayed The response to a replay. */
/** @typedef {ReturnType<typeof useActions>["actions"]} Actions */

/** The selector of the field that the `e` key focuses. */
export const EDITED = ".editor > .field textarea";
const MARKED = "Marked. Open another capture and press d to compare the two.";

/**
 * Return the actions on a capture. `onOpen` gets the number of the capture, if it is known.
 * @param {{ onOpen: (seq: number | undefined) => void, onClose: () => void }} on
 */
export function useActions({ onOpen, onClose }) {
  const [marked, setMarked] = useState("");
  const [result, setResult] = useState(/** @type {Replayed | null} */ (null));
  const mark = useRef("");
  const hooks = useRef({ onOpen, onClose });
  hooks.current = { onOpen, onClose };
  const open = useCallback((/** @type {string} */ id, /** @type {number | undefined} */ seq = undefined) => {
    hooks.current.onOpen(seq);
    go({ open: id, against: "" });
  }, []);
  const actions = useMemo(() => ({
    open,
    close: () => {
      go({ open: "", tab: "", against: "" });
      hooks.current.onClose();
    },
    tab: (/** @type {string} */ name) => go({ tab: name === "summary" ? "" : name, against: "" }, { replace: true }),
    edit: (/** @type {string} */ id) => {
      if (readLocation().tab !== "edit") go({ open: id, tab: "edit", against: "" }, { replace: true });
      focusWhenDrawn(EDITED);
    },
    against: (/** @type {string} */ id, /** @type {string} */ other) => go({ open: id, against: other }),
    mark: (/** @type {string} */ id) => {
      mark.current = id;
      setMarked(id);
      say(MARKED);
    },
    compare: (/** @type {string} */ id) => {
      const other = mark.current;
      if (!other) actions.mark(id);
      else if (other === id) say("This is the marked capture. Open another capture.");
      else go({ open: id, against: other });
    },
    curl: (/** @type {string} */ id) => exportAs(id, "curl", true),
    replay: async (/** @type {string} */ id) => {
      setResult({ id, sent: null, problem: null });
      try {
        setResult({ id, sent: await post(captureUrl(id, "/replay"), {}), problem: null });
      } catch (/** @type {any} */ problem) {
        setResult({ id, sent: null, problem });
      }
    },
    dismiss: () => setResult(null),
  }), []);
  return { marked, result, actions };
}

/**
 * Save or copy a capture as a request or file of another tool. Requests are newly signed.
 * @param {string} id
 * @param {string} format
 * @param {boolean} [isCopied] true copies the result to the clipboard. Otherwise, a file is saved.
 */
export async function exportAs(id, format, isCopied) {
  try {
    const { filename, text, signed } = await get(captureUrl(id, `/export/${format}`), { sign: "true" });
    const how = signed ? "It is newly signed, valid for 5 minutes." : "It has the captured signature.";
    if (isCopied) return await copy(text, `Copied the ${format} command to the clipboard. ${how}`);
    download(filename, text);
    if (signed) say(how);
  } catch (/** @type {any} */ error) {
    say(error.message);
  }
}
