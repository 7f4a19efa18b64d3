// JSON text: indented by its tokens, and where it is not JSON.

// A number that JavaScript would change keeps its text: the body is indented by its own tokens, never parsed and written.
export function pretty(body) {
  if (body.text === null || !body.is_whole || body.type !== "json") return null;
  return indent(body.text);
}

/** Indent JSON text without reading its values. */
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

export function parsed(text) {
  try { return JSON.parse(text); } catch { return null; }
}

export function syntaxFault(text) {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    const at = Number(/position (\d+)/.exec(error.message)?.[1] ?? text.length);
    const before = text.slice(0, at).split("\n");
    return { line: before.length, column: before.at(-1).length + 1, message: error.message.replace(/ in JSON at position.*| \(line.*/, "") };
  }
}
