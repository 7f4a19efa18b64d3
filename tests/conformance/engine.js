// Port's own template engine, asked line by line: `{"template": …, "data": …}` in, `{"text": …}` or `{"error": …}` out.
// With `times`, the answer is `{"seconds": …}`: how long that many renderings take.
// `text` is what JSON.stringify makes of the result, null where that is undefined.
const { renderRecursively } = require('@port-labs/jq-node-bindings');
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const { template, data, times } = JSON.parse(line);
  let answer;
  if (times) {
    for (let n = 0; n < 200; n++) renderRecursively(data, template);
    const started = performance.now();
    for (let n = 0; n < times; n++) renderRecursively(data, template);
    process.stdout.write(JSON.stringify({ seconds: (performance.now() - started) / 1000 }) + '\n');
    return;
  }
  try { answer = { text: JSON.stringify(renderRecursively(data, template)) ?? null }; }
  catch (error) { answer = { error: error.message }; }
  process.stdout.write(JSON.stringify(answer) + '\n');
});
