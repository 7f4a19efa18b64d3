// @ts-check
// Overlays: dialogs, messages, and text to copy by hand.
import { html, useEffect, useRef, useState, Button } from "./ui.js";
import { oneLine } from "./format.js";

/**
 * A dialog. A click outside the dialog closes it, unless the user has typed something in it.
 * @param {{ title: string, onClose: () => void, children?: unknown }} props
 */
export function Dialog({ title, onClose, children }) {
  const ref = useRef(/** @type {any} */ (null));
  const isTyped = useRef(false);
  // The browser sends the event of a removed dialog late: by then, the user may have opened the dialog again.
  const onClosed = () => ref.current && onClose();
  useEffect(() => {
    const dialog = ref.current;
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    dialog.showModal();
    (dialog.querySelector("textarea") ?? dialog).focus();
    return () => {
      if (!dialog.open) return; // the browser has closed it, and returned the focus
      dialog.close();
      if (before?.isConnected) before.focus();
    };
  }, []);
  return html`<dialog
    ref=${ref}
    tabindex="-1"
    aria-label=${title}
    onClose=${onClosed}
    onInput=${(event) => { isTyped.current ||= event.target.role !== "switch"; }}
    onPointerDown=${(event) => event.target === ref.current && !isTyped.current && onClose()}
  >
    <div class="dialog">
      <header><h2>${title}</h2><${Button} icon="x" label="Close" iconOnly onClick=${onClose} /></header>
      ${children}
    </div>
  </dialog>`;
}

export function isDialogOpen() {
  return document.querySelector("dialog[open]") !== null;
}

export function Toasts() {
  const [texts, setTexts] = useState(/** @type {{ text: string, key: number }[]} */ ([]));
  useEffect(() => {
    const onSaid = (/** @type {any} */ event) => {
      const said = { text: event.detail, key: Math.random() };
      setTexts((old) => [...old.slice(-2), said]);
      setTimeout(() => setTexts((old) => old.filter((each) => each !== said)), 5000);
    };
    window.addEventListener("said", onSaid);
    return () => window.removeEventListener("said", onSaid);
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${texts.map((each) => html`<p key=${each.key}>${oneLine(each.text)}</p>`)}
  </div>`;
}

/** Text for the user to copy by hand, because the browser blocked the clipboard. */
export function Uncopied() {
  const [text, setText] = useState("");
  useEffect(() => {
    const onUncopied = (/** @type {any} */ event) => setText(event.detail);
    window.addEventListener("uncopied", onUncopied);
    return () => window.removeEventListener("uncopied", onUncopied);
  }, []);
  if (!text) return null;
  return html`<${Dialog} title="Copy this text" onClose=${() => setText("")}>
    <p class="dim">The browser does not let this page use the clipboard.</p>
    <label class="field"><span class="sr">Text</span>
      <textarea readonly rows="10" value=${text} onFocus=${(event) => event.currentTarget.select()}></textarea>
    </label><//>`;
}
