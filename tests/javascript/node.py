"""Node as the reference: what JSON.stringify writes, and what Port's documented verifier for Node decides."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from tests.installed import path_of

PROGRAM = r"""
const crypto = require('crypto');
const calls = {
  stringify: (text, indent) => JSON.stringify(JSON.parse(text), null, indent),
  // Port's documented verifier: the body is parsed by the framework and written again.
  verify: (signature, timestamp, text, secret) => signature.split(',')[1] === crypto.createHmac('sha256', secret)
    .update(`${timestamp}.${JSON.stringify(JSON.parse(text))}`).digest('base64'),
};
const ascii = text => text.replace(/[\u007f-\uffff]/g, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const [name, ...args] = JSON.parse(line);
  let answer = null;
  try { answer = calls[name](...args); } catch (error) { }
  process.stdout.write(ascii(JSON.stringify(answer)) + '\n');
});
"""


class Node:
    """One Node process that handles one request per line. A call that throws returns None."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers

    def stringify(self, text: str, indent: str = "") -> str | None:
        return cast("str | None", self._call("stringify", text, indent))

    def verify(self, signature: str, timestamp: str, text: str, secret: str) -> bool:
        return self._call("verify", signature, timestamp, text, secret) is True

    def _call(self, *call: str) -> Any:
        self._requests.write(json.dumps(call) + "\n")
        self._requests.flush()
        return json.loads(self._answers.readline())


@contextmanager
def running_node() -> Iterator[Node]:
    with subprocess.Popen(
        [path_of("node"), "-e", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="ascii"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Node(process.stdin, process.stdout)
        process.stdin.close()
