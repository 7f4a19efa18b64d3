// @ts-check
// JSON text by its tokens. A number that JavaScript would change keeps its text: nothing is parsed and written again.

/** @import { BodyText } from "../net/types.js" */

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/**
 * A whole JSON body, indented. Null for any other body.
 * @param {BodyText} body
 */
export function pretty(body) {
  if (body.text === null || !body.is_whole || body.type !== "json") return null;
  return indent(body.text);
}

/**
 * Indent JSON text without reading its values.
 * @param {string} text
 */
export function indent(text) {
  let depth = 0;
  let out = "";
  const tokens = text.match(TOKEN) ?? [];
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

/**
 * JSON text with another value at a path of keys. Null if the text has no such path.
 * @param {string} text
 * @param {string[]} path
 * @param {unknown} value
 */
export function withValue(text, path, value) {
  const tokens = [...text.matchAll(TOKEN)];
  let found = 0; // so many keys of the path lead to the current object
  let depth = 0;
  for (let i = 0; i < tokens.length; i += 1) {
    const [token] = tokens[i];
    depth += nesting(token);
    if (depth <= found) return null; // that object has ended
    const isKey = depth === found + 1 && tokens[i + 1]?.[0] === ":";
    if (!isKey || JSON.parse(token) !== path[found]) continue;
    found += 1;
    i += 2; // the value
    if (found < path.length) {
      if (tokens[i][0] !== "{") return null;
      depth += 1;
      continue;
    }
    const start = tokens[i].index;
    const end = endOf(tokens, i);
    const line = text.slice(text.lastIndexOf("\n", start) + 1);
    const margin = /^[ \t]*/.exec(line)?.[0] ?? "";
    const written = JSON.stringify(value, null, 2).replaceAll("\n", `\n${margin}`);
    return text.slice(0, start) + written + text.slice(end);
  }
  return null;
}

function nesting(token) {
  return token === "{" || token === "[" ? 1 : token === "}" || token === "]" ? -1 : 0;
}

function endOf(tokens, first) {
  let depth = 0;
  for (let i = first; ; i += 1) {
    depth += nesting(tokens[i][0]);
    if (depth === 0) return (tokens[i].index ?? 0) + tokens[i][0].length;
  }
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
