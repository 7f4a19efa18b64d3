"""Runs expressions with the real pyjq 2.6.0 in a separate process, because some expressions crash or hang it.

`.ci/pyjq` builds it, which needs a C toolchain, autoconf, automake, libtool and a Python that has lib2to3 (before
3.13). `python tests/prediction/jq15.py` runs every expression in `jq15_corpus.json` again and writes the results.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).with_name("jq15_corpus.json")
PYTHON = Path(__file__).parents[2] / "build/pyjq/bin/python"
ENVIRONMENT = {"TOKEN": "t0ken"}
CRASH, HANG = {"stop": "crashes"}, {"stop": "hangs"}
# These read memory that pyjq does not set, so their results change from run to run.
_UNSET = re.compile(r"(?<![.\w\"])(debug|inputs?)\b(?![:(])")
_PROGRAM = """
import json, signal, sys
import pyjq
for line in sys.stdin:
    expression, document = json.loads(line)
    signal.setitimer(signal.ITIMER_PROF, 1)  # s of processor time, after which the signal ends this process
    try:
        result = pyjq.first(expression, document)
    except Exception:  # as in the agent, the value is null
        result = None
    print(json.dumps({"value": result}), flush=True)
"""


def ask(pairs: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Return the result of pyjq for each expression and its document: `{"value": …}`, CRASH or HANG."""
    found: list[dict[str, Any]] = []
    while len(found) < len(pairs):
        found += _answers(pairs[len(found) :])
    return found


def _answers(pairs: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Return the results up to the first expression that crashes or hangs pyjq."""
    if _UNSET.search(pairs[0][0]):
        return [CRASH]
    known = next((index for index, (each, _) in enumerate(pairs) if _UNSET.search(each)), len(pairs))
    asked = "".join(json.dumps(pair) + "\n" for pair in pairs[:known])
    command = [str(PYTHON), "-c", _PROGRAM]
    done = subprocess.run(command, check=False, input=asked.encode(), capture_output=True, env=ENVIRONMENT)
    answers = [json.loads(line) for line in done.stdout.splitlines(keepends=True) if line.endswith(b"\n")]
    stop = HANG if done.returncode == -signal.SIGPROF else CRASH
    return answers if len(answers) == known else [*answers, stop]


def read_corpus() -> list[dict[str, Any]]:
    """Return groups of expressions over one document: `document`, and `results` by expression."""
    found: list[dict[str, Any]] = json.loads(CORPUS.read_text("utf-8"))
    return found


def main() -> None:
    """Run every expression of the corpus and write the results."""
    groups = read_corpus()
    for group in groups:
        answers = ask([(each, group["document"]) for each in group["results"]])
        group["results"] = dict(zip(group["results"], answers, strict=True))
    CORPUS.write_text(json.dumps(groups, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
