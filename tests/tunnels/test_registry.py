"""The values of `--tunnel`, and the uses of the registry's rows."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from port_hook_cli.errors import UsageError
from port_hook_cli.tunnels.keeper import no_tunnel_lines
from port_hook_cli.tunnels.protocol import NotUsable
from port_hook_cli.tunnels.registry import (
    AUTO,
    NO_TUNNEL,
    PROVIDERS,
    Provider,
    TunnelChoice,
    all_values,
    automatic,
    is_relay,
    parse_tunnel,
    tunnel_help,
)
from tests.conftest import Run
from tests.contract.test_imports import HEAVY
from tests.processes import environment_without_coverage

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("auto", AUTO),
        ("none", NO_TUNNEL),
        ("ngrok", TunnelChoice("ngrok")),
        ("cloudflared", TunnelChoice("cloudflared")),
        ("smee", TunnelChoice("smee")),
        ("https://smee.io/abc/", TunnelChoice("smee", "https://smee.io/abc")),
        ("smee://hooks.example/abc", TunnelChoice("smee", "https://hooks.example/abc")),
        ("smee://127.0.0.1:3000/new", TunnelChoice("smee", "http://127.0.0.1:3000/new")),
        ("https://smee.oi/abc", TunnelChoice("url", "https://smee.oi/abc")),
        ("http://127.0.0.1:3000/new", TunnelChoice("url", "http://127.0.0.1:3000/new")),
        ("ngrok://Hooks.ngrok.app/", TunnelChoice("ngrok", "ngrok://hooks.ngrok.app")),
        ("localhost.run", TunnelChoice("ssh", "localhost.run")),
        ("serveo", TunnelChoice("ssh", "serveo.net")),
        ("pinggy", TunnelChoice("ssh", "a.pinggy.io")),
        ("pinggy.io", TunnelChoice("ssh", "a.pinggy.io")),
        ("ssh://me@box", TunnelChoice("ssh", "ssh://me@box")),
        ("HTTPS://h.example/@A", TunnelChoice("url", "https://h.example/@A")),
        ("SSH://me@box", TunnelChoice("ssh", "ssh://me@box")),
        ("ssh://me@box:65535/65535", TunnelChoice("ssh", "ssh://me@box:65535/65535")),
        ("ssh://[::1]:22/", TunnelChoice("ssh", "ssh://[::1]:22/")),
    ],
)
def test_tunnel_value_is_parsed_into_a_provider_and_its_address(text: str, choice: TunnelChoice) -> None:
    assert parse_tunnel(text) == choice


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ngrokk", "--tunnel 'ngrokk' is not a known tunnel."),
        ("", "--tunnel '' is not a known tunnel."),
        ("ssh", "--tunnel ssh is invalid: the server is missing."),
        ("ssh://", "--tunnel 'ssh://' is invalid: the server is missing."),
        ("ssh://box:65536", "--tunnel 'ssh://box:65536' is invalid: the port must be from 1 to 65535."),
        ("ssh://box:0", "--tunnel 'ssh://box:0' is invalid: the port must be from 1 to 65535."),
        ("ssh://[box", "--tunnel 'ssh://[box' is invalid: the port must be from 1 to 65535."),
        (
            "ssh://box/65536",
            "--tunnel 'ssh://box/65536' is invalid: it may contain only user, host, port and remote port.",
        ),
        ("ssh://box/a/b", "--tunnel 'ssh://box/a/b' is invalid: it may contain only user, host, port and remote port."),
        ("ssh://box?x=1", "--tunnel 'ssh://box?x=1' is invalid: it may contain only user, host, port and remote port."),
        ("https://smee.io", "--tunnel 'https://smee.io' is invalid: the channel is missing."),
        ("smee://hooks.example", "--tunnel 'smee://hooks.example' is invalid: the channel is missing."),
        ("https:///channel", "--tunnel 'https:///channel' is not a valid URL."),
        ("https://h:0", "--tunnel 'https://h:0' is not a valid URL."),
        ("https://h:x", "--tunnel 'https://h:x' is not a valid URL."),
        *(
            (f"ngrok://{domain}", f"--tunnel 'ngrok://{domain}' is invalid: '{domain}' is not a domain.")
            for domain in ("hooks", "http://hooks.ngrok.app", "a.b/c", "-a.b", "x.y:1", "a b.c", "a..b")
        ),
        ("https://[smee", "--tunnel 'https://[smee' is not a valid URL."),
    ],
)
def test_invalid_tunnel_value_is_rejected_with_the_reason_and_a_hint(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_tunnel(text)
    assert caught.value.message == message
    assert caught.value.hint.endswith(".")


def test_unknown_tunnel_error_lists_the_known_values() -> None:
    with pytest.raises(UsageError) as caught:
        parse_tunnel("ngrokk")
    assert all(value in caught.value.hint for value in all_values())


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("dev.example.com", "For your own tunnel, pass --tunnel https://dev.example.com."),
        ("Dev.example.com:8443/Hook", "For your own tunnel, pass --tunnel https://Dev.example.com:8443/Hook."),
        (
            "a.ngrok.app",
            "For your own tunnel, pass --tunnel https://a.ngrok.app. For an ngrok domain, pass --tunnel ngrok://a.ngrok.app.",
        ),
        ("https://h:x", "Write the URL of your own tunnel as https://HOST."),
        *((f"{scheme}me:hunter2@h.example/a", "Pass --tunnel https://h.example/a.") for scheme in ("", "HTTPS://")),
        ("https://hunter2@h.example:99999", "Pass --tunnel https://h.example:99999."),
        ("https://me:hunter2/3@h.example", "Pass --tunnel https://h.example."),
        ("ngrok://me:hunter2@h.example", "Pass --tunnel ngrok://h.example."),
        ("ssh://me:hunter2@box:99999", "Leave out the password, and use a key or your SSH agent."),
    ],
)
def test_hint_for_a_tunnel_shows_what_to_type_without_credentials(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_tunnel(text)
    assert caught.value.hint == hint
    assert "hunter2" not in caught.value.message


def test_listen_rejects_a_host_key_without_ssh_and_exits_2(run: Run) -> None:
    for tunnel in ("ngrok", "auto", "none", "https://hooks.example.com"):
        done = run("listen", "--tunnel", tunnel, "--accept-host-key", "SHA256:x", "--verify", "off")
        assert done.code == 2
        assert done.err.startswith(f"error: --accept-host-key cannot be used with --tunnel {tunnel}.\n")
        assert "hint: Leave out --accept-host-key, or use --tunnel ssh://USER@HOST." in done.err


def test_auto_tries_ngrok_then_cloudflared_then_localhost_run() -> None:
    assert [choice.name for choice, _ in automatic()] == ["ngrok", "cloudflared", "localhost.run"]


def test_only_smee_is_a_relay() -> None:
    assert [row.name for row in PROVIDERS if is_relay(TunnelChoice(row.name))] == ["smee"]
    assert not is_relay(AUTO)
    assert not is_relay(NO_TUNNEL)


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_row_has_an_opener_a_page_and_help_and_is_not_used_on_an_empty_machine(row: Provider, tmp_path: Path) -> None:
    opener = resolve_name(row.opener)
    assert inspect.iscoroutinefunction(opener)
    required = [it.name for it in inspect.signature(opener).parameters.values() if it.default is it.empty]
    assert required == ["opening"]
    assert (ROOT / "docs" / "receive" / row.page).is_file()
    assert {parse_tunnel(value.replace("DOMAIN", "a.example")).provider for value in row.values} == {row.name}
    assert all(value in tunnel_help() for value in row.values)
    if row.auto:
        assert row.auto.setup in "".join(no_tunnel_lines())
        found = resolve_name(row.auto.check)({"PATH": str(tmp_path)}, tmp_path, can_ask=False)
        assert isinstance(found, NotUsable)
        assert found.reason


def test_registry_imports_nothing_heavy() -> None:
    script = "import sys, port_hook_cli.tunnels.registry; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        capture_output=True, text=True, check=True, cwd=ROOT, env=environment_without_coverage(),
    )  # fmt: skip
    assert set(done.stdout.split()) & HEAVY == set()
