// @ts-check
// Chooses the control for an input, and converts the input's value to text and back.

import { fieldText } from "../ui/times.js";

/** @import { Input } from "../net/types.js" */

/**
 * @typedef {object} Control
 * @property {"choice" | "choices" | "switch" | "number" | "json" | "lines" | "time" | "text"} kind
 * @property {boolean} isSecret
 * @property {string} type of an `<input>`
 */

const MULTI_LINE = ["yaml", "markdown", "multi-line"];
const TYPES = ["email", "url"];

/**
 * Return the control for an input. Without a declared type, the value decides.
 * @param {Partial<Input>} input
 * @param {unknown} value
 * @returns {Control}
 */
export function controlOf(input, value) {
  const control = (kind, type = "text") => ({ kind, type, isSecret: !!input.encrypted });
  const type = input.type ?? typeOf(value);
  const format = input.format ?? "";
  if (input.enum) return control("choice");
  if (type === "boolean") return control("switch");
  if (type === "number" || type === "integer") return control("number", "number");
  if (type === "array" && input.items) return control("choices");
  if (type === "array" || type === "object") return control("json");
  if (MULTI_LINE.includes(format) || (typeof value === "string" && value.includes("\n"))) return control("lines");
  if (input.encrypted) return control("text", "password");
  if (format === "date-time" && isTime(value)) return control("time", "datetime-local");
  return control("text", TYPES.includes(format) ? format : "text");
}

function typeOf(value) {
  return Array.isArray(value) ? "array" : value === null ? "string" : typeof value;
}

function isTime(value) {
  return !value || !Number.isNaN(Date.parse(String(value)));
}

/**
 * Return a value as the text of its control.
 * @param {Control} control
 * @param {any} value
 */
export function textOf({ kind }, value) {
  if (value === null || value === undefined || value === "") return "";
  if (kind === "json") return JSON.stringify(value, null, 2);
  if (kind === "time") return fieldText(Date.parse(value) / 1000);
  return String(value);
}

/**
 * Return the value of the text in a control, or why the text is invalid.
 * @param {Control} control
 * @param {string} text
 * @returns {{ value?: unknown, problem: string }}
 */
export function valueIn({ kind }, text) {
  if (text === "" && kind !== "text" && kind !== "lines") return { value: null, problem: "" };
  try {
    if (kind === "json") return { value: JSON.parse(text), problem: "" };
    if (kind === "time") return { value: new Date(text).toISOString(), problem: "" };
  } catch {
    return { problem: kind === "json" ? "This is not JSON." : "This is not a time." };
  }
  return { value: kind === "number" ? Number(text) : text, problem: "" };
}

/**
 * Return the help of an input, in one or two sentences.
 * @param {Partial<Input>} input
 */
export function helpFor({ description, format, blueprint, minimum, maximum }) {
  const [from, to] = [minimum ?? null, maximum ?? null];
  return [
    description,
    blueprint && format === "entity" && `The identifier of an entity of ${blueprint}.`,
    from !== null && to !== null && `From ${from} to ${to}.`,
    from !== null && to === null && `At least ${from}.`,
    from === null && to !== null && `At most ${to}.`,
  ].filter(Boolean).join(" ");
}
