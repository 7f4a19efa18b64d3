"""Convert captures to tests, which expect the recorded responses and repeat the checks of findings.

This module is pure.

The tests sign requests when they run, so they also work with old captures. Everything from a capture is written as a
Python literal: bytes with `python_bytes`, text with `ascii`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from port_hook_cli.invocations.snippets import python_bytes
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json


class CapturedTest(NamedTuple):
    """A test that the handler responds to a request with the status `expected`."""

    id: str
    method: str
    url: str
    body: bytes
    expected: int


class FindingTest(NamedTuple):
    """A test that a handler passes the check `slug`, which consists of letters and hyphens."""

    slug: str
    method: str
    url: str
    body: bytes


_CAPTURED = """# Method, URL, body, and the status of the response.
CAPTURES = [
{cases}]


@pytest.mark.parametrize(("method", "url", "body", "expected"), CAPTURES)
def test_handler_responds_with_the_captured_status(method, url, body, expected):
    headers, body = sign(body, os.environ["PORT_CLIENT_SECRET"])
    url = os.environ.get("BACKEND_URL", url)
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status = response.status
    except urllib.error.HTTPError as error:
        status = error.code
    assert status == expected
"""
_FINDINGS = """# The check, the method, the URL, and a payload that the handler accepts, or None for a sample.
# For checks of repeats and reports, start the handler in a fixture, with the variables in `port_environ`.
FINDINGS = [
{cases}]


@pytest.mark.parametrize(("check", "method", "url", "payload"), FINDINGS)
def test_handler_passes_the_check(port_hook, check, method, url, payload):
    url = os.environ.get("BACKEND_URL", url)
    secret = os.environ.get("PORT_CLIENT_SECRET")
    try:
        port_hook.check(url, payload, only=[check], method=method, secret=secret, strict=True)
    except pytest.skip.Exception as reason:  # a check without a result is not a success
        pytest.fail(str(reason))
"""
_ABOUT_CAPTURES = "Captured invocations as tests: start your handler, set PORT_CLIENT_SECRET, run pytest."
_ABOUT_FINDINGS = (
    "Findings of `port-hook check` as tests, which fail until the handler is fixed: start the handler, set "
    "PORT_CLIENT_SECRET, run pytest."
)
_NEEDS = """\

The environment that runs the tests needs port-hook with its pytest extra. From a clone of port-hook:

    python -m pip install '/path/to/clone[pytest]'
"""


def pytest_module(tests: Sequence[CapturedTest | FindingTest]) -> str:
    """Return a module with one test for each capture."""
    captured = [_captured_case(each) for each in tests if isinstance(each, CapturedTest)]
    found = [_finding_case(each) for each in tests if isinstance(each, FindingTest)]
    standard = "import os\nimport urllib.error\nimport urllib.request\n" if captured else "import os\n"
    own = "\nfrom port_hook_cli import sign\n" if captured else ""
    head = f'"""{_ABOUT_CAPTURES if captured else _ABOUT_FINDINGS}\n{_NEEDS}"""\n\n{standard}\nimport pytest\n{own}'
    tables = [(_CAPTURED, captured)] * bool(captured) + [(_FINDINGS, found)] * bool(found)
    return head + "\n" + "\n\n".join(table.replace("{cases}", "".join(cases), 1) for table, cases in tables)


def _captured_case(test: CapturedTest) -> str:
    values = f"{test.method!a}, {test.url!a}, {python_bytes(test.body)}, {test.expected}"
    return f"    pytest.param({values}, id={test.id!a}),\n"


def _finding_case(test: FindingTest) -> str:
    payload = python_bytes(test.body) if _is_object(test.body) else "None"
    return f"    pytest.param({test.slug!a}, {test.method!a}, {test.url!a}, {payload}, id={test.slug!a}),\n"


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(read_json(body.decode()), dict)
    except (UnicodeDecodeError, NotJson):
        return False
