"""What `--kafka` decides before it reads: organization, credentials, group."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from port_hook_cli.errors import PortApiError, SettingsError, UsageError
from port_hook_cli.invocations.models import Invocation, Response
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.kafka.environment import read_kafka_settings
from port_hook_cli.kafka.opening import KafkaOpening, KafkaOptions
from port_hook_cli.port_api.client import PortApi
from port_hook_cli.sandbox import Sandbox
from tests.factories import SECRET
from tests.kafka_clusters import Cluster, a_message
from tests.port_clients import port_client
from tests.sandboxes import a_sandbox
from tests.servers import application


def no_api() -> PortApi:
    raise SettingsError("No client ID is set.")


def api_of(sandbox: Sandbox) -> PortApi:
    return port_client(api_url=sandbox.url, client_id=sandbox.client_id, client_secret=sandbox.client_secret)


class Asked:
    """Responds to questions, and records them."""

    def __init__(self, answer: bool) -> None:
        self._answer, self.questions = answer, list[str]()

    async def __call__(self, question: str) -> bool:
        self.questions.append(question)
        return self._answer


def opening(
    environ: dict[str, str],
    home: Path,
    *,
    ask: Callable[[str], Awaitable[bool]] | None = None,
    open_api: Callable[[], PortApi] = no_api,
    **options: object,
) -> KafkaOpening:
    return KafkaOpening(
        options=KafkaOptions(**options),  # type: ignore[arg-type]
        settings=read_kafka_settings(environ, home),
        open_api=open_api,
        ask=ask,
    )


def a_context(taken: asyncio.Queue[Invocation], notices: list[str]) -> SourceContext:
    async def receive(invocation: Invocation, _: str) -> Response:
        taken.put_nowait(invocation)
        return Response(status=200)

    return SourceContext(receive=receive, notice=notices.append, now=lambda: 0.0, new_id=lambda: "id")


async def opened(one: KafkaOpening) -> list[str]:
    """Open and close. Return the notices."""
    notices: list[str] = []
    source = await one(a_context(asyncio.Queue(), notices))
    await source.close(0)
    return notices


async def test_brokers_and_organization_come_from_ports_api(cluster: Cluster, tmp_path: Path) -> None:
    with a_sandbox(kafka_brokers=[cluster.address]) as sandbox:
        async with api_of(sandbox) as api:
            org_id = (await api.call("GET", "/v1/organization"))["organization"]["id"]
        cluster.make(f"{org_id}.runs")
        taken: asyncio.Queue[Invocation] = asyncio.Queue()
        source = await opening({}, tmp_path, open_api=partial(api_of, sandbox))(a_context(taken, []))
        try:
            message = a_message()
            await asyncio.to_thread(cluster.send, f"{org_id}.runs", message)
            assert (await asyncio.wait_for(taken.get(), 30)).body == message
        finally:
            await source.close(2)


async def test_unknown_organization_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="organization ID is unknown") as caught:
        await opened(opening({"KAFKA_CONSUMER_BROKERS": "127.0.0.1:1"}, tmp_path))
    assert "PORT_ORG_ID" in caught.value.hint


@pytest.mark.parametrize("org_id", [None, 5, "", "org\x1b[2J", "org_1" * 1_000])
async def test_unusable_organization_id_is_an_error(org_id: object, tmp_path: Path) -> None:
    async def token(_: web.Request) -> web.Response:
        return web.json_response({"accessToken": "t", "expiresIn": 3600, "tokenType": "Bearer"})

    async def organization(_: web.Request) -> web.Response:
        return web.json_response({"ok": True, "organization": {"id": org_id, "name": "One"}})

    port = web.Application()
    port.router.add_post("/v1/auth/access_token", token)
    port.router.add_get("/v1/organization", organization)
    with application(port) as url:
        open_api = partial(port_client, api_url=url, client_id="id", client_secret=SECRET)
        one = opening({"KAFKA_CONSUMER_BROKERS": "127.0.0.1:1"}, tmp_path, open_api=open_api)
        with pytest.raises(SettingsError, match="organization ID is unknown") as caught:
            await opened(one)
    assert "PORT_ORG_ID" in caught.value.hint


@pytest.mark.parametrize(
    ("environ", "needs_api"),
    [
        ({}, True),
        ({"PORT_ORG_ID": "org_1"}, True),
        ({"KAFKA_CONSUMER_BROKERS": "127.0.0.1:1"}, True),
        ({"KAFKA_CONSUMER_BROKERS": "127.0.0.1:1", "PORT_ORG_ID": "org_1"}, False),
        ({"KAFKA_CONSUMER_BROKERS": "kafka.example.com:1", "PORT_ORG_ID": "org_1"}, True),
    ],
)
def test_api_is_needed_unless_brokers_credentials_and_organization_are_set(
    environ: dict[str, str], needs_api: bool, tmp_path: Path
) -> None:
    assert opening(environ, tmp_path).settings.is_complete is not needs_api


async def test_error_asks_for_credentials_instead_of_the_organization_when_both_are_needed(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match=r"^No client ID is set\.$"):
        await opened(opening({}, tmp_path))


async def test_organization_without_kafka_gets_a_hint(tmp_path: Path) -> None:
    with a_sandbox() as sandbox, pytest.raises(PortApiError, match="404") as caught:
        await opened(opening({}, tmp_path, open_api=partial(api_of, sandbox)))
    assert "agent --poll" in caught.value.hint


@pytest.fixture
def environ(cluster: Cluster, org: str) -> dict[str, str]:
    return {"KAFKA_CONSUMER_BROKERS": cluster.address, "PORT_ORG_ID": org}


async def test_agents_group_is_joined_only_after_a_yes(environ: dict[str, str], org: str, tmp_path: Path) -> None:
    no, yes = Asked(False), Asked(True)
    with pytest.raises(UsageError, match="did not join the agent's group"):
        await opened(opening(environ, tmp_path, ask=no, group=org, take_over=True))
    await opened(opening(environ, tmp_path, ask=yes, group=org, take_over=True))
    await opened(opening(environ, tmp_path, group=org, take_over=True, yes=True))

    assert len(no.questions) == len(yes.questions) == 1
    assert "consumes the execution agent's messages" in yes.questions[0]


@pytest.mark.parametrize("group", ["other", "", "ORG_1.x"])
async def test_group_of_another_organization_is_rejected_with_a_suggestion(
    group: str, environ: dict[str, str], org: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        await opened(opening(environ, tmp_path, group=group))
    assert f"--group {org}.port-hook." in caught.value.hint


@pytest.mark.parametrize("group", ["org_1\udcff", "org_1." + "x" * 40_000, "org_1\x1b[2J"])
async def test_group_is_rejected_when_it_would_end_the_process(
    group: str, environ: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="is not a valid group name"):
        await opened(opening(environ, tmp_path, group=group))


async def test_agents_user_name_is_a_valid_group_even_without_the_organization_prefix(
    environ: dict[str, str], tmp_path: Path
) -> None:
    secured = environ | {
        "KAFKA_CONSUMER_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_USERNAME": "an-agent",
        "KAFKA_PASSWORD": "12345678",
    }
    with pytest.raises(UsageError, match="is the execution agent's group"):
        await opened(opening(secured, tmp_path, group="an-agent"))
    no = Asked(False)
    with pytest.raises(UsageError, match="did not join the agent's group"):
        await opened(opening(secured, tmp_path, ask=no, group="an-agent", take_over=True))
    assert no.questions


async def test_forwarding_beside_the_agent_is_a_warning_unless_it_is_taken_over(
    environ: dict[str, str], org: str, tmp_path: Path
) -> None:
    beside = await opened(opening(environ, tmp_path, forwards=True))
    alone = await opened(opening(environ, tmp_path, forwards=True, group=org, take_over=True, yes=True))
    unused = await opened(opening(environ, tmp_path))

    assert [any("may be done twice" in line for line in n) for n in (beside, alone, unused)] == [True, False, False]


async def test_passwords_are_passed_on_for_masking(environ: dict[str, str], tmp_path: Path) -> None:
    secured = environ | {
        "KAFKA_CONSUMER_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_USERNAME": "org_1",
        "KAFKA_PASSWORD": "a-password-of-kafka",
    }
    secrets: list[str] = []
    one = replace(opening(secured, tmp_path, group="other"), on_secret=secrets.append)
    with pytest.raises(UsageError):
        await opened(one)

    assert secrets == ["a-password-of-kafka"]
