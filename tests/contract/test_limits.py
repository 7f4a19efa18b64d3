"""The limits on the pages equal the limits in the package. Other tests use the package's constants."""

from __future__ import annotations

from port_hook_cli.actions.templates import MAX_DEPTH as TEMPLATE_LEVELS
from port_hook_cli.assistant.results import MAX_CHARACTERS
from port_hook_cli.captures.comparison import MAX_CHANGES
from port_hook_cli.captures.documents.capture_fields import REJECTED_BODY_LIMIT
from port_hook_cli.check.fault import MOST_REQUESTS
from port_hook_cli.engines.jq_worker import MAX_RESULT_BYTES
from port_hook_cli.files.documents import MAX_YAML, MOST_ADDED, MOST_LEVELS, MOST_TOKENS
from port_hook_cli.files.user_files import MAX_INPUT_BYTES
from port_hook_cli.http.response_body import SHOWN_BYTES
from port_hook_cli.javascript.stringify import MAX_DEPTH
from port_hook_cli.kafka.messages import MAX_BYTES, MAX_MESSAGES
from port_hook_cli.listener.http_source import MAX_CONNECTIONS
from port_hook_cli.listener.observers import MAX_UNREAD, MAX_UNREAD_BYTES
from port_hook_cli.listener.port_runs import MAX_FOLLOWED
from port_hook_cli.listener.server import FIRST_HEAD_S, MIN_CAPACITY
from port_hook_cli.port_api.retries import MAX_TRIES, MAX_WAIT_S
from port_hook_cli.reporting.spool import MAX_KEPT_BYTES
from port_hook_cli.runs.updates import REQUEST_LIMIT
from port_hook_cli.sandbox.run import MAX_RUNS
from port_hook_cli.sandbox.workflows.book import MAX_LOGS
from port_hook_cli.signatures.budget import HASHED_BYTES, LAYOUT_BYTES, MILLISECONDS_BODY_BYTES
from port_hook_cli.signatures.forms import MAX_INDENTED_CHARACTERS
from port_hook_cli.text.secret import LONGEST_CUT
from tests.documentation import ROOT

KIB, MIB = 1024, 1024 * 1024


LIMITS = [
    (
        "contributing/threat-model-network.md",
        "at most 256 KiB of the body are saved",
        REJECTED_BODY_LIMIT,
        256 * KIB,
    ),
    ("contributing/threat-model.md", "A result has at most 40,000 characters", MAX_CHARACTERS, 40_000),
    ("contributing/threat-model.md", "YAML may have at most 1 MiB", MAX_YAML, MIB),
    ("contributing/threat-model.md", "and 100,000 tokens", MOST_TOKENS, 100_000),
    ("contributing/threat-model.md", "Aliases may add at most 1,000,000 characters", MOST_ADDED, 1_000_000),
    ("contributing/threat-model.md", "Lists and mappings may be nested 200 deep", MOST_LEVELS, 200),
    ("contributing/threat-model-network.md", "has 10 seconds for the head of its first request", FIRST_HEAD_S, 10),
    ("contributing/threat-model-network.md", "share a limit of 64 MiB", MIN_CAPACITY, 64 * MIB),
    ("contributing/threat-model-network.md", "At most 1,024 connections are open", MAX_CONNECTIONS, 1_024),
    ("contributing/threat-model-network.md", "at most 1,000 messages", MAX_MESSAGES, 1_000),
    ("contributing/threat-model-network.md", "32 MiB in progress", MAX_BYTES, 32 * MIB),
    ("contributing/threat-model.md", "at most 256 MiB of any file", MAX_INPUT_BYTES, 256 * MIB),
    ("contributing/threat-model.md", "At most 1 GiB of a command's output", MAX_KEPT_BYTES, 1_024 * MIB),
    ("contributing/threat-model-network.md", "at most 5 attempts", MAX_TRIES, 5),
    ("contributing/threat-model-network.md", "30 seconds of pauses and timeouts", MAX_WAIT_S, 30),
    ("contributing/threat-model.md", "watches 20 runs at the same time", MAX_FOLLOWED, 20),
    ("debug/bad-signature.md", "A search sends at most 64 requests", MOST_REQUESTS, 64),
    ("debug/inspector.md", "shows the first 500 changes", MAX_CHANGES, 500),
    ("report/run.md", "Port's limit of 1 MiB for a request", REQUEST_LIMIT, MIB),
    ("report/run.md", "It watches 20 runs at the same time", MAX_FOLLOWED, 20),
    ("reference/mcp.md", "A result has at most 40,000 characters", MAX_CHARACTERS, 40_000),
    ("reference/python.md", "more than 1,000 captures", MAX_UNREAD, 1_000),
    ("reference/python.md", "64 MiB of bodies", MAX_UNREAD_BYTES, 64 * MIB),
    ("reference/sandbox.md", "a body over 1 MiB", REQUEST_LIMIT, MIB),
    ("reference/sandbox.md", "retains 1,000 action runs, 1,000 workflow runs", MAX_RUNS, 1_000),
    ("reference/sandbox.md", "the latest 1,000 log entries of each node run", MAX_LOGS, 1_000),
    ("reference/signatures.md", "`JSON.stringify` form | 4,000 levels", MAX_DEPTH, 4_000),
    ("reference/signatures.md", "bytes hashed in all | 64 MiB", HASHED_BYTES, 64 * MIB),
    ("reference/signatures.md", "the raw body | 16 KiB", MILLISECONDS_BODY_BYTES, 16 * KIB),
    ("reference/signatures.md", "2 MiB for other secrets without the timestamp", LAYOUT_BYTES, 2 * MIB),
    ("reference/signatures.md", "indented forms are tried | 256 KiB", MAX_INDENTED_CHARACTERS, 256 * KIB),
    ("reference/store.md", "for a rejected request, the first 256 KiB", REJECTED_BODY_LIMIT, 256 * KIB),
    ("reference/store.md", "headers (masked), the first 64 KiB of the body", SHOWN_BYTES, 64 * KIB),
    ("reference/templates.md", "Error messages are cut after 256 characters", LONGEST_CUT, 256),
    ("reference/templates.md", "A result can have at most 8 MiB", MAX_RESULT_BYTES, 8 * MIB),
    ("reference/templates.md", "a template at most 150 levels of nesting", TEMPLATE_LEVELS, 150),
]


def test_limit_on_a_page_is_the_limit_of_the_program() -> None:
    pages = {page: (ROOT / "docs" / page).read_text("utf-8") for page, *_ in LIMITS}
    assert [f"docs/{page} lacks {text!r}" for page, text, *_ in LIMITS if text not in pages[page]] == []
    assert [row for row in LIMITS if row[2] != row[3]] == []
