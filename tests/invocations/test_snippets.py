from __future__ import annotations

import ast
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from port_hook_cli.invocations.snippets import (
    SNIPPET_FORMATS,
    SignedRequest,
    format_curl,
    format_headers,
    format_httpie,
    format_python,
    printf_arguments,
    python_bytes,
    shell_quoted,
)
from port_hook_cli.text.safe import is_visible
from tests.installed import each

PROGRAMS = {"curl": "curl", "httpie": "http"}
FORMATS = {row.name: row for row in SNIPPET_FORMATS}
SHELLS = each("sh", "bash", "zsh", "busybox")
WITHOUT_NUL = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


def a_request(body: bytes = b"{}", url: str = "http://127.0.0.1:8000/") -> SignedRequest:
    fields = (("content-type", "application/json"), ("x-port-signature", "v1,abc="), ("x-port-timestamp", "17"))
    return SignedRequest(url=url, headers=fields, body=body)


def in_shell(script: str, shell: str = "sh") -> bytes:
    command = [shell, "sh"] if shell == "busybox" else [shell]
    return subprocess.run(command, input=script.encode(), capture_output=True, check=True, timeout=30).stdout


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
@example(b"%s %d %% \\n \\0 \\")
@example(b"\x001\x0023")
@example(b"\xff\xfe0")
@example("Zoë's\t\u202e 🚢\xa0\n\n".encode())
@example(b"-n")
@example(b"-\x00")
@example(b"-e\n-")
@example(b"@file")
@example(b"")
def test_printf_writes_exactly_the_body(body: bytes) -> None:
    assert in_shell(f"printf {printf_arguments(body)}") == body


@pytest.mark.parametrize("shell", SHELLS)
def test_every_installed_shell_writes_every_byte_and_reads_a_quoted_word(shell: str) -> None:
    body = bytes(range(256)) * 2 + "'Zoë' 100%".encode()
    assert in_shell(f"printf {printf_arguments(body)}", shell) == body
    text = "-e '\x1b[2J' \u202e!x%s\\ $HOME\n"
    assert in_shell(f"printf %s {shell_quoted(text)}", shell) == text.encode()


@given(st.text(WITHOUT_NUL))
@example("-n\x1b!\n\n")
@example("\n")
@example("a'b\u202e\\%s$HOME`id`")
def test_shell_quoted_text_is_one_visible_word(text: str) -> None:
    assert in_shell(f"printf %s {shell_quoted(text)}") == text.encode()
    assert all(map(is_visible, shell_quoted(text).split("\n")))


@given(st.one_of(st.binary(), st.text().map(str.encode)))
@example("\u3164\ufe01\U000e0101".encode())
def test_snippets_contain_only_visible_characters(body: bytes) -> None:
    assert is_visible(printf_arguments(body))
    assert is_visible(python_bytes(body))


def test_formats_are_written_as_documented() -> None:
    assert printf_arguments('{"name":"Zoë"}'.encode()) == """'%s' '{"name":"Zoë"}'"""
    assert format_headers(a_request()) == "x-port-signature: v1,abc=\nx-port-timestamp: 17"
    assert "--globoff" in format_curl(a_request(url="http://[::1]:8000/{a}"))
    assert "--globoff" not in format_curl(a_request())
    command = format_httpie(a_request(b'{"a":1}'))
    assert command.startswith("""printf '%s' '{"a":1}' |""")
    assert "http POST 'http://127.0.0.1:8000/'" in command
    assert "'x-port-signature: v1,abc='" in command


def the_words(command: str, program: str) -> list[str]:
    """Return the arguments that a shell passes to a command's program."""
    script = f"{program}() {{ printf '%s\\0' \"$@\"; }}\n{command}\n"
    return in_shell(script).decode("utf-8", "surrogateescape").split("\0")[:-1]


def with_fields(*fields: tuple[str, str], method: str = "POST") -> SignedRequest:
    return a_request()._replace(headers=(("content-type", "application/json"), *fields), method=method)


def test_method_from_an_untrusted_store_is_one_shell_word() -> None:
    for method in ["POST;echo out;", "`echo out`", "$(echo out)", "A|B", "-o", "A\nB"]:
        for row in SNIPPET_FORMATS:
            if row.is_command:
                assert row.name in PROGRAMS, f"add the program that {row.name} calls to PROGRAMS in this file"
                assert method in the_words(row.write(with_fields(method=method)), PROGRAMS[row.name])


def test_header_invalid_in_http_is_omitted() -> None:
    for name, value in [
        ("@/etc/hostname", "v"), ("a=b", "v"), ("a b", "v"), ("", "v"), ("x", "a\r\ny: 1"), ("x", "a\0b"),
        ("x:\ny", "1"),
    ]:  # fmt: skip
        request, plain = with_fields((name, value)), with_fields()
        for row in SNIPPET_FORMATS:
            assert row.write(request) == row.write(plain), f"{row.name} has to leave the field out"


def test_httpie_does_not_read_a_value_as_json_or_as_a_file() -> None:
    for value in ["=1", "==1", "@/etc/hostname"]:
        words = the_words(format_httpie(with_fields(("x-a", value))), "http")
        assert words[-1] == f"x-a: {value}"


def test_httpie_does_not_read_a_name_as_an_option() -> None:
    words = the_words(format_httpie(with_fields(("-o", "file"))), "http")
    assert words == ["--", "POST", "http://127.0.0.1:8000/", "content-type: application/json", "-o: file"]


def test_commands_send_empty_fields_and_do_not_add_a_content_type() -> None:
    bare = a_request()._replace(headers=(("x-a", "1"),))
    assert "content-type:" in the_words(format_curl(bare), "curl")
    assert "content-type:" in the_words(format_httpie(bare), "http")
    request = with_fields(("x-empty", ""), ("x-blank", " "))
    assert {"x-empty;", "x-blank;"} <= set(the_words(format_curl(request), "curl"))
    assert {"x-empty;", "x-blank;"} <= set(the_words(format_httpie(request), "http"))


def test_commands_send_the_bytes_of_a_value() -> None:
    for content in ["Zoë".encode(), b"Zo\xeb", b"\x80\xff"]:
        request = with_fields(("x-name", content.decode("latin-1")))
        for name, program in PROGRAMS.items():
            words = the_words(FORMATS[name].write(request), program)
            assert b"x-name: " + content in [word.encode("utf-8", "surrogateescape") for word in words]


def test_python_program_joins_repeated_fields() -> None:
    _, _, _, assigned, *_ = ast.parse(format_python(with_fields(("x-a", "1"), ("X-A", "2")))).body
    assert isinstance(assigned, ast.Assign)
    assert ast.literal_eval(assigned.value) == {"content-type": "application/json", "x-a": "1, 2"}


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_python_program_is_valid_and_has_the_body(body: bytes) -> None:
    _, _, assigned, *_ = ast.parse(format_python(a_request(body))).body
    assert isinstance(assigned, ast.Assign)
    assert eval(ast.unparse(assigned.value)) == body  # noqa: S307 - our own program


def test_python_program_escapes_invisible_characters() -> None:
    program = format_python(a_request(url="http://127.0.0.1/\u3164\U000e0101"))
    assert all(map(is_visible, program.splitlines()))
    assert "\\U00003164\\U000e0101" in program
    ast.parse(program)


def test_format_writes_the_whole_request_in_visible_characters() -> None:
    for row in SNIPPET_FORMATS:
        request = SignedRequest(
            url="http://127.0.0.1:8000/hook", headers=(("x-port-signature", "v1,abc="),), body=b'{"a":"\x1b"}'
        )
        text = row.write(request)
        assert all(map(is_visible, text.splitlines()))
        for part in (request.url, "v1,abc=", request.method):
            assert part in text
