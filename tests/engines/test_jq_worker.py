"""jq in a separate process: its results, its restrictions, and how it is stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from port_hook_cli.engines.jq_worker import MAX_RESULT_BYTES, JqWorker
from port_hook_cli.engines.outcomes import UNDEFINED, JqError
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.errors import RenderError
from port_hook_cli.javascript.values import write_json

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="the limits are POSIX's")
ENDLESS = "last(repeat(1))"


@pytest.fixture(scope="module")
def worker() -> Iterator[JqWorker]:
    with closing(JqWorker()) as worker:
        yield worker


def one(worker: JqWorker, program: str, data: str = '{"a":1}') -> Any:
    return worker.evaluate([program], data)[0]


def test_started_process_evaluates_the_first_program_and_is_restarted_when_it_was_killed() -> None:
    others = jq_processes()
    with closing(JqWorker()) as worker:
        worker.start()
        [started] = jq_processes() - others
        assert one(worker, ".a") == 1
        worker.start()  # it is running
        assert jq_processes() - others == {started}
    with closing(JqWorker()) as worker:
        worker.start()
        [started] = jq_processes() - others
        os.kill(started, signal.SIGTERM)
        psutil.Process(started).wait(timeout=30)
        assert one(worker, ".a") == 1
        assert jq_processes() - others - {started}


def jq_processes() -> set[int]:
    children = psutil.Process().children()
    return {child.pid for child in children if any("jq_process" in word for word in words_of(child))}


def words_of(process: psutil.Process) -> list[str]:
    """Return the words of a process. For an instant after its start, Linux does not show them."""
    while not (words := process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
        pass
    return list(words)


def test_first_result_is_returned(worker: JqWorker) -> None:
    results: list[tuple[str, Any]] = [
        (".a", 1),
        ("1, 2", 1),
        ("1, error", 1),
        ("empty", UNDEFINED),
        ("halt", UNDEFINED),
        ("error({a: 1})", UNDEFINED),
        ("error(null)", UNDEFINED),
        ("[1.0, 1e3, 2.5]", [1, 1000, 2.5]),
        ("[infinite, -infinite]", [float("inf"), float("-inf")]),
        ("12345678901234567890", 1.2345678901234567e19),
        ('"\\u00e9\\n"', "é\n"),
        (".a # note", 1),
        ("env, $ENV | length", 0),
        ("env.PATH", None),
    ]
    for program, result in results:
        assert one(worker, program) == result
        # A repeated list of programs runs as one program, with the same results.
        for _ in range(3):
            assert worker.evaluate([".a", program, ".b"], '{"a":1,"b":2}') == [1, result, 2]


def test_comment_in_an_expression_does_not_affect_the_next_expression(worker: JqWorker) -> None:
    for comment in ["# \\", "# \\\r", "# \\\\\\"]:
        for _ in range(
            3
        ):  # a backslash continues a comment on the next line, which must not contain another expression
            assert worker.evaluate([f"1 {comment}", "2", "3"], "null") == [1, 2, 3]


def test_failed_expression_has_the_kind_of_its_error(worker: JqWorker) -> None:
    for program, kind, message in [
        ("foo", "compile", "jq: compile error: foo/0 is not defined at <top-level>, line 1, column 1"),
        ("if true then 1 else 0", "compile", "jq: compile error: Possibly unterminated 'if' statement at"),
        (".a.b", "run-time", 'jq: error: Cannot index number with string ("b")'),
        ('error("null")', "run-time", "jq: error: null"),
        ("1 / (.a - 1)", "run-time", "cannot be divided because the divisor is zero"),
        ("reduce range(5000) as $i (1; [.])", "run-time", "nested too deep"),
        (f'"x" * {MAX_RESULT_BYTES}', "run-time", "the result is longer than"),
    ]:
        for _ in range(3):
            before, error, after = worker.evaluate([".a", program, ".a"], '{"a":1}')
            assert (before, after) == (1, 1)
            assert isinstance(error, JqError)
            assert error.kind == kind
            assert message in error.message


def test_long_error_message_is_cut(worker: JqWorker) -> None:
    for _ in range(3):
        _, error = worker.evaluate([".a", 'error("x" * 30000000)'], "null")
        assert isinstance(error, JqError)
        assert error.message == f"jq: error: {'x' * 242}..."


def test_compile_error_ends_with_the_line_and_column_in_the_expression(worker: JqWorker) -> None:
    for program, place in [
        ("foo", "line 1, column 1"),
        ("1 | foo", "line 1, column 5"),
        ("1 |\n foo", "line 2, column 2"),
    ]:
        (error,) = worker.evaluate([program], "{}")
        assert error.message == f"jq: compile error: foo/0 is not defined at <top-level>, {place}"


@posix_only
def test_expressions_cannot_read_files_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = [
        'import "module" as m {search: "FOLDER"}; m::f',
        'import "data" as $d {search: "FOLDER"}; $d',
        'include "module" {search: "FOLDER"}; f',
        '"FOLDER/module" | modulemeta',
        "leaked",  # what ~/.jq defines
        "input_filename",
        "$__prog_args",
        "input",
    ]
    (tmp_path / "module.jq").write_text('module {"name": "secret"}; def f: "secret";')
    (tmp_path / "data.json").write_text('"secret"')
    (tmp_path / ".jq").write_text('def leaked: "secret";')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PORT_CLIENT_SECRET", "secret")
    with closing(JqWorker(timeout_s=1e300)) as fresh:
        for program in programs:
            result = one(fresh, program.replace("FOLDER", str(tmp_path)))
            assert "secret" not in json.dumps(str(result).replace("leaked", ""))


def test_endless_expression_is_stopped_and_the_next_expression_runs() -> None:
    with closing(JqWorker(timeout_s=0.3)) as worker:
        started = time.monotonic()
        for programs in ([".a", ENDLESS, ".a"], [ENDLESS]):
            with pytest.raises(RenderError) as stopped:
                worker.evaluate(programs, '{"a":1}')
            assert f"{{{{ {ENDLESS} }}}} was stopped: rendering took longer than 0.3 s" in stopped.value.message
            assert one(worker, ".a") == 1
        assert time.monotonic() - started < 20  # guards against a hang


@pytest.mark.extended
@posix_only
@pytest.mark.parametrize("program", ["def f: 1 + f; f", '[range(200000) | "x" * (. % 7 + 9999)] | length'])
def test_expression_is_stopped_when_it_exceeds_the_memory_limit(program: str) -> None:
    with closing(JqWorker(timeout_s=20, memory=2**28)) as worker:
        with pytest.raises(RenderError, match="jq ran out of memory"):
            one(worker, program)
        assert one(worker, ".a") == 1


@pytest.mark.extended
@posix_only
@pytest.mark.parametrize("program", [".a", "last(repeat(1))"])
def test_process_ends_when_its_parent_is_killed(program: str) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
                import threading, time
                from port_hook_cli.engines.jq_worker import JqWorker
                worker = JqWorker(timeout_s=1)
                worker.evaluate(["1"], "1")
                print(worker._process.pid, flush=True)
                threading.Thread(target=worker.evaluate, args=([{program!r}], "{{}}"), daemon=True).start()
                time.sleep(60)
            """),
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while _is_running(pid):
        assert time.monotonic() < deadline, "the process outlived its parent"
        time.sleep(0.02)


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@posix_only
def test_killed_idle_process_is_restarted() -> None:
    with closing(JqWorker()) as worker:
        assert one(worker, ".a") == 1
        process = worker._process  # noqa: SLF001 - there is no public access to the process
        assert process is not None
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert one(worker, ".a") == 1


def test_threads_can_share_a_worker(worker: JqWorker) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: one(worker, ".a", json.dumps({"a": number})), range(100)))
    assert results == list(range(100))


async def test_renderer_does_not_block_the_event_loop() -> None:
    with Renderer(timeout_s=0.5) as renderer:
        stopped = asyncio.create_task(renderer.arender_and_tell(f"{{{{ {ENDLESS} }}}}", {}))
        ticks = 0
        while not stopped.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks > 10
        assert isinstance(stopped.exception(), RenderError)
        assert (await renderer.arender_and_tell({"a": "{{ .x }}"}, {"x": [1.0]})).value == {"a": [1]}


async def test_canceled_rendering_ends_immediately_without_affecting_others() -> None:
    with Renderer(timeout_s=30) as renderer:
        assert (await renderer.arender_and_tell("{{ .a }}", {"a": 0})).value == 0
        started = time.monotonic()
        endless = [asyncio.create_task(renderer.arender_and_tell(f"{{{{ {ENDLESS} }}}}", {})) for _ in range(2)]
        others = [asyncio.create_task(renderer.arender_and_tell("{{ .a }} b", {"a": number})) for number in range(20)]
        await asyncio.sleep(0)
        for task in endless:
            task.cancel()
        assert [each.value for each in await asyncio.gather(*others)] == [f"{number} b" for number in range(20)]
        assert time.monotonic() - started < 25  # guards against a hang, and is less than the time-out


def test_data_is_read_like_in_node() -> None:
    with Renderer() as renderer:
        data = {"b": 1, "2": 2, "1": 3, "big": 12345678901234567890, "one": 1.0, "much": float("inf")}
        assert renderer.render('{{ keys_unsorted | join(",") }}', data) == "1,2,b,big,one,much"
        assert renderer.render("{{ .big }} {{ .one | tostring }} {{ .much }}", data) == ("12345678901234567000 1 null")
        rendering = renderer.render_and_tell("{{ .a }}", {"a": "\ud800"})
        assert rendering.value is None
        assert "surrogate" in rendering.errors[0].message
        with pytest.raises(RenderError, match="The data is not JSON"):
            renderer.render("{{ . }}", {"a": object()})


def test_deeply_nested_result_is_returned_or_rejected() -> None:
    with Renderer() as renderer:
        for levels in (300, 700, 900, 990, 1500):
            template: Any = f"{{{{ reduce range({levels}) as $i (1; [.]) }}}}"
            for _ in range(100):
                template = [template]
            refusal = ""
            try:
                write_json(renderer.render(template, {}))
            except RenderError as error:
                refusal = error.message
            assert refusal in {"", "The result is nested too deep."}


def test_many_expressions_over_large_data_take_little_longer_than_one(worker: JqWorker) -> None:
    data = write_json({"pad": ["x" * 100] * 20_000})

    def seconds(count: int) -> float:
        programs = [f'.pad[{number}] + "{count}"' for number in range(count)]
        started = time.perf_counter()
        assert worker.evaluate(programs, data) == [f"{'x' * 100}{count}"] * count
        return time.perf_counter() - started

    seconds(1)  # starts jq
    assert seconds(40) < 15 * min(seconds(1) for _ in range(3))
