from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import BrokerError, UsageError
from port_hook_cli.kafka.connection import is_loopback_broker
from port_hook_cli.kafka.producer import KafkaPublisher, embedded_broker, local_publisher, read_bootstrap
from tests.kafka_clusters import running_tansu, tansu_program
from tests.sockets import LOOPBACK, bound_addresses, free_port
from tests.topics import plain, reading


async def test_publisher_returns_where_the_confirmed_message_is() -> None:
    async with local_publisher(None) as (publisher, (broker,)):
        await publisher.find("org.runs")
        published = await publisher.publish("org.runs", b"one")
        with reading(broker, "org.runs") as topic:
            assert topic.next() == b"one"
    assert (published.topic, published.offset) == ("org.runs", 0)
    assert str(published) == f"org.runs, partition {published.partition}, offset 0"


async def test_simultaneous_messages_all_arrive_once() -> None:
    async with local_publisher(None) as (publisher, (broker,)):
        sent = [str(number).encode() for number in range(20)]
        places = await asyncio.gather(*(publisher.publish("org.runs", each) for each in sent))
        with reading(broker, "org.runs") as topic:
            got = [topic.next() for _ in sent]
    assert sorted(got) == sorted(sent)
    assert len(set(map(str, places))) == len(sent)


async def test_error_has_the_reason_when_no_broker_confirmed_a_message() -> None:
    async with KafkaPublisher(plain(f"127.0.0.1:{free_port()}"), timeout_s=0.5) as publisher:
        with pytest.raises(BrokerError, match=r"did not confirm the message: .*Connection refused") as caught:
            await publisher.publish("org.runs", b"one")
        with pytest.raises(BrokerError, match=r"cannot be reached: Connect to \S+ failed: Connection refused\.$"):
            await publisher.find("org.runs")
    assert caught.value.hint


async def test_publisher_rejects_a_too_large_message() -> None:
    async with local_publisher(None) as (publisher, _):
        with pytest.raises(BrokerError, match=r"The message was not published: .*[Mm]essage size too large"):
            await publisher.publish("org.runs", b"x" * 2_000_000)


async def test_publisher_ends_a_waiting_message_when_it_is_closed() -> None:
    publisher = KafkaPublisher(plain(f"127.0.0.1:{free_port()}"), timeout_s=60)
    async with publisher:
        waiting = asyncio.create_task(publisher.publish("org.runs", b"one"))
        await asyncio.sleep(0)
    with pytest.raises(BrokerError, match="did not confirm"):
        await asyncio.wait_for(waiting, 20)


@pytest.mark.skipif(tansu_program() is None, reason="there is no Tansu broker for this platform")
async def test_publisher_rejects_a_broker_when_it_refers_to_another_machine() -> None:
    with running_tansu("kafka.example.com:9092") as broker:
        async with KafkaPublisher(plain(broker.address)) as publisher:
            with pytest.raises(BrokerError, match=r"refers to kafka\.example\.com:9092, which is not on this machine"):
                await publisher.find("org.runs")


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_embedded_broker_listens_on_loopback_only() -> None:
    with embedded_broker() as address:
        assert bound_addresses(int(address.rpartition(":")[2])) == {LOOPBACK}


def test_embedded_brokers_are_independent_of_each_other() -> None:
    with embedded_broker() as one, embedded_broker() as other:
        assert one != other


@pytest.mark.parametrize("text", ["", "9092", "127.0.0.1", "kafka://127.0.0.1:9092", "127.0.0.1:x", "127.0.0.1:1,"])
def test_bootstrap_is_rejected_when_it_is_not_an_address(text: str) -> None:
    with pytest.raises(UsageError, match="not the address of a Kafka broker") as caught:
        read_bootstrap(text)
    assert "embedded" in caught.value.hint


@pytest.mark.parametrize("text", ["kafka.example.com:9092", "127.0.0.1:9092,10.0.0.1:9092", "127.0.0.1.evil.com:1"])
def test_bootstrap_on_another_machine_is_rejected(text: str) -> None:
    with pytest.raises(UsageError, match="only to brokers on this machine"):
        read_bootstrap(text)


@given(st.text(max_size=40) | st.from_regex(r"[a-z0-9.:\[\]@/,-]{1,30}:[0-9]{1,5}", fullmatch=True))
def test_any_bootstrap_is_on_this_machine_or_rejected(text: str) -> None:
    try:
        brokers = read_bootstrap(text)
    except UsageError:
        return
    assert brokers
    assert all(is_loopback_broker(broker) for broker in brokers)


HERE = ("127.0.0.1:9092", "127.9.9.9:1", "localhost:9092", "[::1]:9092")
ELSEWHERE = ("10.0.0.1:9092", "localhost.example.com:9092", "127.0.0.1.example.com:9092", "[2001:db8::1]:9092")


@given(st.lists(st.sampled_from(HERE + ELSEWHERE), min_size=1, max_size=4))
def test_bootstrap_is_accepted_only_when_all_brokers_are_on_this_machine(addresses: list[str]) -> None:
    try:
        brokers = read_bootstrap(", ".join(addresses))
    except UsageError:
        brokers = ()
    assert brokers == (() if set(addresses) & set(ELSEWHERE) else tuple(addresses))


WITHOUT = """
import sys
sys.modules["confluent_kafka"] = None
from port_hook_cli.cli.app import main
sys.exit(main(sys.argv[1:]))
"""


def test_sandbox_error_has_the_install_command_when_confluent_kafka_is_missing() -> None:
    command = [sys.executable, "-c", WITHOUT, "sandbox", "--kafka", "embedded"]
    # A prepared interpreter may have imported the package's importers.
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "error: confluent-kafka is not installed.\n"
        f"hint: Install it in port-hook's environment: {sys.executable} -m pip install 'confluent-kafka<3,>=2.16.1'\n"
    )
