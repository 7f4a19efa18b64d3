// Port's own template engine, asked line by line: `{"template": …, "data": …}` in, `{"text": …}` or `{"error": …}` out.
// With `strict`, an expression that fails is an error, too: `{"error": …, "kind": "compile" or "run-time"}`.
// With `times`, the answer is `{"seconds": …}`: how long that many renderings take.
// `text` is what JSON.stringify makes of the result, null where that is undefined.
const { renderRecursively, JqExecError, JqExecCompileError } = require('@port-labs/jq-node-bindings');
const kindOf = error =>
  error instanceof JqExecCompileError ? 'compile' : error instanceof JqExecError ? 'run-time' : undefined;
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const { template, data, times, strict } = JSON.parse(line);
  let answer;
  if (times) {
    for (let n = 0; n < 200; n++) renderRecursively(data, template);
    const started = performance.now();
    for (let n = 0; n < times; n++) renderRecursively(data, template);
    process.stdout.write(JSON.stringify({ seconds: (performance.now() - started) / 1000 }) + '\n');
    return;
  }
  try { answer = { text: JSON.stringify(renderRecursively(data, template, { throwOnError: strict })) ?? null }; }
  catch (error) { answer = { error: error.message, kind: kindOf(error) }; }
  process.stdout.write(JSON.stringify(answer) + '\n');
});
