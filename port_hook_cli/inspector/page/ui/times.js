// @ts-check
// Converts times in a form: a time by this machine's clock to text, and back.

/** The preset ranges, in seconds before now. */
export const RANGES = [
  [300, "Last 5 minutes"], [900, "Last 15 minutes"], [3600, "Last hour"], [86400, "Last 24 hours"],
];

/**
 * Return seconds since the epoch as the value of a datetime-local field.
 * @param {unknown} seconds
 */
export function fieldText(seconds) {
  const ms = Number(seconds || NaN) * 1000;
  const local = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return Number.isNaN(local.getTime()) ? "" : local.toISOString().slice(0, 19);
}

/**
 * Return the filters for two fields, or why they are invalid. An empty field sets no limit.
 * @param {string} from
 * @param {string} to
 * @returns {{ since?: string, until?: string, problem?: string }}
 */
export function parseRange(from, to) {
  const [since, until] = [from, to].map((text) => text && Date.parse(text) / 1000);
  if ([since, until].some((at) => at !== "" && !(at >= 0))) return { problem: "Enter times after 1970." };
  if (since !== "" && until !== "" && since >= until) return { problem: "The end must be after the start." };
  return { since: String(since), until: String(until) };
}
