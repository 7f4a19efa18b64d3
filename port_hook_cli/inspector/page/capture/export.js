// @ts-check
// A capture as another tool's request or file. Requests are newly signed.
import { captureUrl, get } from "../net/api.js";
import { copy, download, say } from "../ui/copy.js";

/**
 * @param {string} id
 * @param {string} format
 * @param {boolean} [isCopied] true copies to the clipboard, otherwise a file is saved
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
