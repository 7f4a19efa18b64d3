"""Compare `port-hook render` with Port's own engine: `tests/campaign conformance`.

The engine is npm `@port-labs/jq-node-bindings` in the release below, the latest published release. It is built into
`.bench/` and needs npm, a C++ compiler, autoconf, automake, libtool, flex and bison. All examples in guides, every rule
and 2,000 generated templates go through both engines, once like in Port and once in strict mode. A difference is an
error unless `KNOWN` lists it, with the reason. docs/reference/templates.md lists the known differences.

In strict mode, the kind and the line of the error have to be the same. The text of the error depends on the release of
jq, and the release of the engine does not report columns.
"""

# ruff: noqa: T201 - printing is its job
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from port_hook_cli.actions.templates import ExpressionFailed
from port_hook_cli.engines.outcomes import UNDEFINED
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.errors import RenderError
from port_hook_cli.javascript.values import read_json, write_json
from tests.conformance.cases import DATA, GUIDES, RULES
from tests.conformance.generated import generated

RELEASE = "0.0.12"
HERE = Path(__file__).parent
SCRATCH = HERE.parents[1] / ".bench" / "jq-node-bindings"
PACKAGE = {
    "private": True,
    "allowScripts": {"@port-labs/jq-node-bindings": True},
    "dependencies": {"@port-labs/jq-node-bindings": RELEASE},
}

# Known differences, each with the templates that show it.
KNOWN: dict[str, tuple[Any, ...]] = {
    "`spreadValue()` came after this release": tuple(
        template for template in RULES if isinstance(template, dict) and "spreadValue" in str(template)
    ),
    "jq has changed: `pick`, `ltrimstr` of what is no string, a string times 0": (
        "{{ pick(.run) }}",
        '{{ .inputs.cpu | ltrimstr("a") }}',
        '{{ "a" * 0 }}',
    ),
    "jq writes numbers into text in their original form: `-2.50`, `1E+21`": (
        "{{ @base64 }}",
        "{{ tojson }}",
        "{{ -2.50 | tostring }}{{ .inputs.name }}{{ -2.50 + empty }}{{1}}",
    ),
    "a NUL ends a string": ('{{ "a\\u0000b" }}',),
}


# Additional differences in strict mode.
KNOWN_IN_STRICT_MODE: dict[str, tuple[Any, ...]] = {
    "an older jq cannot compile the division of a constant by 0": ("{{ 1 / 0 }}",),
}

_LINE = re.compile(r", line (\d+)(?:, column \d+)?:?$")


def main() -> int:
    """Compare, print two tables and the rates, and return 1 for an unknown difference."""
    if not _install():
        print("Port's engine could not be built here: nothing was compared")
        return 1
    templates = [*GUIDES, *RULES, *generated(2_000, seed=20260102)]
    counts = {strict: _counts(templates, strict=strict) for strict in (False, True)}
    from bench.making import render as compare_rates

    compare_rates()
    for strict, verdicts in counts.items():
        mode = ", strict" if strict else ""
        print(f"\n@port-labs/jq-node-bindings {RELEASE}, {len(templates)} templates{mode}")
        for verdict, count in verdicts.most_common():
            print(f"{count:6} {verdict}")
    return int(any(verdicts["DIFFERENT"] for verdicts in counts.values()))


def _counts(templates: list[Any], *, strict: bool) -> Counter[str]:
    data = read_json(json.dumps(DATA))
    counts: Counter[str] = Counter()
    with Renderer() as renderer, ExitStack() as engines:
        engine = engines.enter_context(_engine())
        for template in templates:
            theirs = _theirs(engine, template, strict=strict)
            if theirs is None:  # the release frees memory twice, now and then: it gets a second request
                engine = engines.enter_context(_engine())
                theirs = _theirs(engine, template, strict=strict)
            ours = _ours(renderer, template, data, strict=strict)
            counts[_compare(template, theirs or {"crash": True}, ours, strict=strict)] += 1
    return counts


def _compare(template: Any, theirs: dict[str, Any], ours: dict[str, Any], *, strict: bool) -> str:
    if theirs == ours:
        return "the same"
    known = {**KNOWN, **KNOWN_IN_STRICT_MODE} if strict else KNOWN
    for reason, examples in known.items():
        if template in examples:
            return f"known: {reason}"
    print(f"{json.dumps(template)}\n   Port: {theirs}\n   ours: {ours}")
    return "DIFFERENT"


def _theirs(engine: tuple[IO[str], IO[str]], template: Any, *, strict: bool) -> dict[str, Any] | None:
    requests, answers = engine
    requests.write(json.dumps({"template": template, "data": DATA, "strict": strict}) + "\n")
    requests.flush()
    line = answers.readline()
    if not line:
        return None
    answer: dict[str, Any] = json.loads(line)
    return _failure(answer["kind"], answer["error"]) if "kind" in answer else answer


def _ours(renderer: Renderer, template: Any, data: Any, *, strict: bool) -> dict[str, Any]:
    """Render twice: repeated programs are run in another way."""
    first, second = (_render(renderer, template, data, strict=strict) for _ in range(2))
    return first if first == second else {"first": first, "second": second}


def _render(renderer: Renderer, template: Any, data: Any, *, strict: bool) -> dict[str, Any]:
    try:
        value = renderer.render(read_json(json.dumps(template)), data, strict=strict)
    except RenderError as error:
        if isinstance(error.__cause__, ExpressionFailed):
            return _failure(error.__cause__.error.kind, error.__cause__.error.message)
        return {"error": error.message.removesuffix(".")}
    return {"text": None if value is UNDEFINED else write_json(value)}


def _failure(kind: str, message: str) -> dict[str, Any]:
    """Return the parts that must be the same for an expression that failed in strict mode."""
    found = _LINE.search(message)
    return {"failed": kind, "line": None if found is None else int(found[1])}


def is_installed() -> bool:
    """Whether Port's engine has been built."""
    return (SCRATCH / "node_modules" / "@port-labs" / "jq-node-bindings" / "build" / "Release").exists()


def engine_seconds(template: Any, data: Any, times: int) -> float:
    """Return the seconds that Port's engine takes to render `template` `times` times, without Node's start."""
    with _engine() as (requests, responses):
        requests.write(json.dumps({"template": template, "data": data, "times": times}) + "\n")
        requests.flush()
        return float(json.loads(responses.readline())["seconds"])


def _install() -> bool:
    if is_installed():
        return True
    if not shutil.which("npm"):
        return False
    SCRATCH.mkdir(parents=True, exist_ok=True)
    (SCRATCH / "package.json").write_text(json.dumps(PACKAGE), "utf-8")
    # Debian's headers of Node, so that node-gyp does not fetch them.
    headers = {"npm_config_nodedir": "/usr"} if Path("/usr/include/node/node.h").exists() else {}
    done = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund"],
        cwd=SCRATCH,
        env={**os.environ, **headers},
        check=False,
    )
    return done.returncode == 0


@contextmanager
def _engine() -> Iterator[tuple[IO[str], IO[str]]]:
    environment = {**os.environ, "NODE_PATH": str(SCRATCH / "node_modules")}
    with subprocess.Popen(
        ["node", str(HERE / "engine.js")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdin, process.stdout
        process.stdin.close()


if __name__ == "__main__":
    sys.exit(main())
