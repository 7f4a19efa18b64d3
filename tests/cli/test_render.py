"""`port-hook render`: output, warnings and accepted templates."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.engines.outcomes import UNDEFINED
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.errors import RenderError
from port_hook_cli.javascript.values import read_json
from tests.conftest import Run

DATA = {"run": {"id": "r_QOz6WoOB1Q2lmhZZ"}, "inputs": {"cpu": 64, "big": 12345678901234567890}}
TEMPLATES_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "templates.md"


@pytest.fixture(autouse=True)
def _data(folder: Path) -> None:
    (folder / "data.json").write_text(json.dumps(DATA))


def test_render_serializes_a_json_template_as_node_does(run: Run, folder: Path) -> None:
    (folder / "body.json").write_text('{"id": "{{ .run.id }}", "2": "{{ .inputs.big }}", "{{ empty }}": 1, "one": 1.0}')
    result = run("render", "body.json", "--data", "data.json")
    assert result.out == '{\n  "2": 12345678901234567000,\n  "id": "r_QOz6WoOB1Q2lmhZZ",\n  "one": 1\n}\n'


def test_render_keeps_dates_in_a_yaml_template_as_text(run: Run, folder: Path) -> None:
    (folder / "body.yaml").write_text('on_day: 2026-01-02\nid: "{{ .run.id }}"\nlist:\n  - "{{ .inputs.cpu }}"\n')
    result = run("render", "body.yaml", "--data", "data.json", "--json")
    assert result.records[0]["result"] == {"on_day": "2026-01-02", "id": "r_QOz6WoOB1Q2lmhZZ", "list": [64]}


def test_render_rejects_yaml_with_too_large_expanded_aliases(run: Run, folder: Path) -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 30))]
    (folder / "bomb.yaml").write_text("\n".join(lines))
    result = run("render", "bomb.yaml", "--data", "data.json")
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert "it is too large once its aliases are expanded" in result.err


def test_render_takes_json_on_the_command_line_and_data_on_stdin(run: Run) -> None:
    result = run("render", '{"cpu": "{{ .inputs.cpu }}"}', "--data", "-", stdin=json.dumps(DATA).encode())
    assert json.loads(result.out) == {"cpu": 64}


def test_render_reads_a_template_from_stdin(run: Run) -> None:
    result = run("render", "-", "--data", "data.json", stdin=b"{{ .inputs.cpu }}\n")
    assert result.out == "64\n"


def test_render_gives_null_and_a_warning_when_an_expression_fails(run: Run) -> None:
    result = run("render", '["{{ .run.id.x }}", "{{ foo }}"]', "--data", "data.json", "--json")
    assert result.code == 0
    (record,) = result.records
    assert record["schema"] == "port-hook/rendering/1"
    assert (record["result"], record["undefined"]) == ([None, None], False)
    assert [(error["expression"], error["kind"]) for error in record["errors"]] == [
        (".run.id.x", "run-time"),
        ("foo", "compile"),
    ]
    warnings = result.err.splitlines()
    assert warnings[0].startswith("warning: {{ .run.id.x }} became null: jq: error: Cannot index string")
    assert warnings[1].startswith("warning: {{ foo }} became null: jq: compile error: foo/0 is not defined")


def test_render_counts_the_failed_expressions_beyond_the_first_20(run: Run) -> None:
    template = json.dumps([f"{{{{ {number} | .a }}}}" for number in range(23)])
    warnings = run("render", template, "--data", "data.json").err.splitlines()
    assert len(warnings) == 21
    assert warnings[-1] == "note: 3 more expressions that became null are not shown"


def test_render_strict_fails_when_an_expression_fails(run: Run) -> None:
    result = run("render", "{{ foo }}", "--data", "data.json", "--strict")
    assert (result.code, result.out) == (ExitCode.FAILED, "")
    assert "error: {{ foo }}: jq: compile error: foo/0 is not defined" in result.err


def test_render_prints_a_note_when_port_may_render_an_expression_differently(run: Run) -> None:
    template = '{"a": "{{ .run.id | trimstr(\\"r_\\") }}", "b": "trimstr(1) {{ \\"trimstr(1)\\" }}"}'
    result = run("render", template, "--data", "data.json", "--json")
    assert (result.code, result.records[0]["result"]["a"]) == (0, "QOz6WoOB1Q2lmhZZ")
    assert result.err.count("\n") == 1
    assert result.err.startswith('note: {{ .run.id | trimstr("r_") }} uses trimstr: Port\'s jq may not have it')


def test_render_prints_a_note_when_the_result_is_undefined(run: Run) -> None:
    result = run("render", "{{ empty }}", "--data", "data.json")
    assert (result.code, result.out) == (0, "")
    assert "undefined" in result.err
    assert run("render", "{{ empty }}", "--data", "data.json", "--json").records[0]["undefined"] is True


def test_render_stops_an_endless_expression(run: Run) -> None:
    result = run("render", "{{ last(repeat(1)) }}", "--data", "data.json")
    assert result.code == ExitCode.FAILED
    assert "error: {{ last(repeat(1)) }} was stopped: rendering took longer than 5 s" in result.err


def test_render_exits_8_when_an_input_cannot_be_parsed(run: Run) -> None:
    for arguments, stdin, words in (
        (("-", "--data", "data.json"), b'{"a": }', "stdin is not JSON"),
        (("-", "--data", "data.json"), b"a: b: c", "stdin is neither JSON nor YAML"),
        (("-", "--data", "data.json"), b"\xff", "stdin is not UTF-8"),
        (("{{ . }}", "--data", "-"), b"{", "stdin is not JSON"),
        (("{{ . }}", "--data", "-"), b"\xff", "stdin is not JSON"),
    ):
        result = run("render", *arguments, stdin=stdin)
        assert (result.code, result.out) == (ExitCode.STORE, "")
        assert words in result.err


def test_render_exits_2_when_an_option_is_missing_or_invalid(run: Run) -> None:
    for options, words in ((("--data", "data.json", "--timeout", "0"), "--timeout"), ((), "--data")):
        result = run("render", "{{ . }}", *options)
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert words in result.err


def examples() -> list[tuple[str, str]]:
    return re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", TEMPLATES_PAGE.read_text("utf-8"), re.MULTILINE)


def test_examples_on_the_templates_page_match_the_program() -> None:
    found = re.search(r"```json\n(.+?)```", TEMPLATES_PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    data = json.loads(found[1])
    with Renderer() as jq:
        for text, result in examples():
            template = json.loads(text) if text.startswith(('["', '{"')) else text.replace(r"\|", "|")
            if result.startswith("error: "):
                with pytest.raises(RenderError, match=re.escape(result.removeprefix("error: "))):
                    jq.render(template, data)
            else:
                assert jq.render(template, data) == (UNDEFINED if result == "undefined" else read_json(result)), text
