// Port's own template engine, asked line by line: `{"template": …, "data": …}` in, `{"text": …}` or `{"error": …}` out.
// `text` is what JSON.stringify makes of the result, null where that is undefined.
const { renderRecursively } = require('@port-labs/jq-node-bindings');
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const { template, data } = JSON.parse(line);
  let answer;
  try { answer = { text: JSON.stringify(renderRecursively(data, template)) ?? null }; }
  catch (error) { answer = { error: error.message }; }
  process.stdout.write(JSON.stringify(answer) + '\n');
});
