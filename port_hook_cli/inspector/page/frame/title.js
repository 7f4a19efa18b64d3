// @ts-check
// The title of the document, which tells browser tabs apart. This module is pure.
import { nameOf, responseText } from "../ui/format.js";

/** @import { Row, Session } from "../net/types.js" */

const LONGEST = 60;

/**
 * @param {{ row: Row | null, view: string, waiting: number, held: number, session: Session | null }} shown
 * @returns {string}
 */
export function titleOf({ held, ...shown }) {
  return held ? `(${held} held) ${titleOfPlace(shown)}` : titleOfPlace(shown);
}

function titleOfPlace({ row, view, waiting, session }) {
  if (row) return `${nameOf(row).slice(0, LONGEST)} · ${responseText(row)} · port-hook`;
  if (view === "check") return "Check · port-hook";
  const folders = session?.store.split("/").filter((part) => part !== ".port-hook");
  const place = session?.url?.match(/:(\d+)/)?.[1] ?? folders?.at(-2) ?? "";
  return `${waiting ? `(${waiting}) ` : ""}port-hook ${place}`.trim();
}
