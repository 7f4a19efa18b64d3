// The page's modules as a whole: no circles, nothing unused, no line too long.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const page = fileURLToPath(new URL("../../port_hook_cli/inspector/page/", import.meta.url));
const files = readdirSync(page, { recursive: true }).map(String).filter((name) => !name.startsWith("vendor"));
const read = (name) => readFileSync(join(page, name), "utf8");
const modules = files.filter((name) => name.endsWith(".js"));
const IMPORT = /^import (?:\{([^}]*)\}|[^"]*?)(?: from )?"(\.[^"]+)";/gm;
const EXPORT = /^export (?:async )?(?:function|const|let|class) (\w+)/gm;

const LATER = /later\(\(\) => import\("(\.[^"]+)"\), "(\w+)"\)/g;

/** The modules that a module imports, each with the names. */
function imports(name) {
  const now = [...read(name).matchAll(IMPORT)].map(([, names, path]) => [path, (names ?? "").split(",")]);
  const later = [...read(name).matchAll(LATER)].map(([, path, each]) => [path, [each]]);
  return [...now, ...later].map(([path, names]) => ({
    from: normalize(join(dirname(name), path)),
    names: names.map((each) => each.trim()).filter(Boolean),
  }));
}

test("modules have no import cycles", () => {
  const visit = (name, way) => {
    assert.ok(!way.includes(name), `a circle: ${[...way, name].join(" → ")}`);
    for (const { from } of imports(name)) if (!from.startsWith("vendor")) visit(from, [...way, name]);
  };
  modules.forEach((name) => visit(name, []));
});

test("every export is used in another module", () => {
  const pairs = modules.flatMap((name) => imports(name));
  const used = new Set(pairs.flatMap(({ from, names }) => names.map((each) => `${from} ${each}`)));
  const tests = readdirSync(dirname(fileURLToPath(import.meta.url))).filter((name) => name.endsWith(".test.js"));
  const texts = tests.map((name) => readFileSync(new URL(name, import.meta.url), "utf8")).join("\n");
  const isUsed = (name, each) => used.has(`${name} ${each}`) || new RegExp(`\\b${each}\\b`).test(texts);
  const exported = modules.flatMap((name) => [...read(name).matchAll(EXPORT)].map(([, each]) => [name, each]));
  const unused = exported.filter(([name, each]) => !isUsed(name, each));
  assert.deepEqual(unused, []);
});

const { Linter } = await import("eslint").catch(() => ({}));

test("lines that look like comments are comments, because the server removes them", { skip: !Linter }, () => {
  for (const name of modules) {
    const linter = new Linter();
    linter.verify(read(name), { languageOptions: { ecmaVersion: 2024, sourceType: "module" } });
    const comments = linter.getSourceCode().getAllComments().map(({ range }) => range);
    for (const { 0: found, index } of read(name).matchAll(/^[ \t]*(\/\/|\/\*\*)/gm)) {
      const at = index + found.length - 1;
      assert.ok(comments.some(([start, end]) => start < at && at < end), `${name}: ${found} at ${index}`);
    }
  }
});

test("no line is longer than 120 characters", () => {
  const long = files.filter((name) => /\.(js|css|html)$/.test(name)).flatMap((name) =>
    read(name).split("\n").flatMap((line, index) => (line.length > 120 ? [[`${name}:${index + 1}`, line]] : [])));
  // A character class cannot be broken.
  assert.deepEqual(long.filter(([, line]) => !line.startsWith("  /[")), []);
});

test("the types of every module are checked", () => {
  assert.deepEqual(modules.filter((name) => !read(name).startsWith("// @ts-check\n")), []);
});

test("index.html links every style sheet", () => {
  const named = [...read("index.html").matchAll(/href="\/page\/([^"]+\.css)"/g)].map(([, name]) => name);
  assert.deepEqual(named.sort(), files.filter((name) => name.endsWith(".css")).sort());
});
