// @ts-check
// JSON text that is indented by its tokens, because JavaScript would change large numbers.

/** @import { BodyText } from "../net/types.js" */

/**
 * Return a whole JSON body with indentation, or null for any other body.
 * @param {BodyText} body
 */
export function pretty(body) {
  if (body.text === null || !body.is_whole || body.type !== "json") return null;
  return indent(body.text);
}

/**
 * Return JSON text with indentation, without parsing its values.
 * @param {string} text
 */
export function indent(text) {
  let depth = 0;
  let out = "";
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === "{" || token === "[") {
      depth += 1;
      out += token + (next === "}" || next === "]" ? "" : "\n" + pad(depth));
    } else if (token === "}" || token === "]") {
      depth -= 1;
      const before = tokens[index - 1];
      out += (before === "{" || before === "[" ? "" : "\n" + pad(depth)) + token;
    } else if (token === ",") out += ",\n" + pad(depth);
    else if (token === ":") out += ": ";
    else out += token;
  });
  return out;
}

function pad(depth) {
  return "  ".repeat(Math.min(depth, 40));
}

/** @param {string} text @returns {any} the value, or null if the text is not JSON */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {string} text */
export function isJson(text) {
  return text.trim() === "null" || parsed(text) !== null;
}
