// The clipboard, and short messages about what was done.

/** Show a message for some seconds; the app listens. */
export function say(text) {
  window.dispatchEvent(new CustomEvent("said", { detail: text }));
}

export async function copy(text, what = "Copied.") {
  try {
    await navigator.clipboard.writeText(text);
    say(what);
  } catch {
    say("The browser does not let this page use the clipboard.");
  }
}

/** Save text or bytes as a file. */
export function download(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
