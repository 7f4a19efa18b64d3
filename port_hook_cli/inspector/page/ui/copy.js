// @ts-check
// Copies to the clipboard, saves files, and shows short messages.

/**
 * Show a message for a few seconds. The app listens for this event.
 * @param {string} text
 */
export function say(text) {
  window.dispatchEvent(new CustomEvent("said", { detail: text }));
}

/** @param {string} text */
export async function copy(text, what = "Copied to the clipboard.") {
  try {
    await navigator.clipboard.writeText(text);
    say(what);
  } catch {
    window.dispatchEvent(new CustomEvent("uncopied", { detail: text }));
  }
}

/**
 * Save text or bytes as a file.
 * @param {string} name
 * @param {BlobPart} content
 */
export function download(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content]));
  link.download = name;
  link.click();
  say(`Saved ${name} in the browser's downloads.`);
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
