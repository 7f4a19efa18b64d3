// @ts-check
// The row of the open capture, which the list may not have loaded.
import { captureUrl, get } from "../net/api.js";
import { useResource } from "../ui/resource.js";

/** @import { Feed } from "./feed.js" */
/** @import { Row } from "../net/types.js" */

/**
 * @param {string} id
 * @param {Feed} feed
 * @returns {Row | null}
 */
export function useOpened(id, feed) {
  const known = id ? feed.find(id) : undefined;
  const key = known || !feed.spans ? "" : id;
  const { value } = useResource((signal) => get(captureUrl(id), {}, signal), key);
  return known ?? value?.row ?? null;
}
