// @ts-check
// The keys, their commands, and the setting that turns off single-key shortcuts (WCAG 2.1.4).
import { html, useLayoutEffect, useState } from "../ui/ui.js";
import { Dialog, isDialogOpen } from "../ui/dialogs.js";
import { keep, kept } from "../ui/kept.js";

const KEYS = [
  ["j / k", "go to the next or previous capture"],
  ["Enter", "open the capture. In an open capture, move the focus into it"],
  ["Esc", "leave the field, or close the capture"],
  ["/", "search"],
  ["r", "replay it"],
  ["e", "edit and replay it"],
  ["m", "mark it"],
  ["d", "compare it with the marked capture"],
  ["c", "copy it as a curl command, newly signed"],
  ["t", "trigger an action or workflow"],
  ["h", "check the handler"],
  ["p", "hold incoming requests, or release them"],
  ["1 – 7", "show a tab of the capture"],
  ["?", "show the keys"],
];
// All other keys run their command once, even if the user holds them down.
const REPEATED = new Set(["j", "k", "ArrowDown", "ArrowUp"]);
const FIELDS = "input:not([type=checkbox]), textarea, select";
const WITH_OWN_ARROWS = ".tree, .panel, .tabs, .checks, pre";

/**
 * Whether keys go into a field. Until the next frame, the browser leaves the focus in a dialog that it has closed.
 * @param {any} target
 */
export const isTypingIn = (target) => target.matches?.(FIELDS) && !target.closest("dialog");

const areOn = () => kept("keys") !== "off";

/**
 * Run the command of each key. The command reads the page's state when the key is pressed, because the user may press
 * the next key before the page is redrawn.
 * @param {Record<string, (() => void) | undefined>} commands by key
 * @param {(target: any) => void} onEscape
 */
export function useKeys(commands, onEscape) {
  useLayoutEffect(() => {
    /** @param {any} event */
    const onKey = (event) => {
      const { key, target } = event;
      if (event.ctrlKey || event.metaKey || event.altKey || isDialogOpen()) return;
      const isTyping = isTypingIn(target);
      if (key === "Escape") {
        if (isTyping) target.blur();
        else onEscape(target);
        return;
      }
      if (isTyping || (key.length === 1 && !areOn())) return;
      if (key.startsWith("Arrow") && target.closest?.(WITH_OWN_ARROWS)) return;
      if (key === "Enter" && target !== document.body && !target.classList?.contains("scroll")) return;
      const run = commands[key];
      if (!run) return;
      if (!event.repeat || REPEATED.has(key)) run();
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  });
}

/** @param {{ onClose: () => void }} props */
export function KeysDialog({ onClose }) {
  const [isOn, setOn] = useState(areOn);
  const change = () => {
    keep("keys", isOn ? "off" : "");
    setOn(!isOn);
  };
  return html`<${Dialog} title="Keys" onClose=${onClose}>
    <dl class=${`keys${isOn ? "" : " off"}`}>
      ${KEYS.map(([key, text]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${text}</dd></div>`)}
    </dl>
    <label class="switch">
      <input type="checkbox" role="switch" checked=${isOn} onChange=${change} />
      <span>Single-key shortcuts <small class="dim">Enter, Esc and the arrow keys always work.</small></span>
    </label>
  <//>`;
}
