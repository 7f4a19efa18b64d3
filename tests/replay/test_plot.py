from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.models import Delivery
from port_hook_cli.replay.plot import latency_plot
from port_hook_cli.replay.tally import DeliveryTally
from tests.replay.tallies import tally_deliveries

SVG = "{http://www.w3.org/2000/svg}"


def a_tally(latencies_ms: list[float], failed: int = 0) -> DeliveryTally:
    answered = [Delivery(url="u", status=200, latency_ms=latency) for latency in latencies_ms]
    return tally_deliveries([*answered, *[Delivery(url="u", error="<&>")] * failed], elapsed_s=1.0)


def drawn(latencies_ms: list[float], failed: int = 0) -> ET.Element:
    return ET.fromstring(latency_plot(a_tally(latencies_ms, failed)))  # noqa: S314 - our own


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=60))
def test_plot_of_any_latencies_has_a_bar_for_each_bucket_within_the_image(latencies_ms: list[float]) -> None:
    root = drawn(latencies_ms)
    bars = root.findall(f"{SVG}rect[@class='bar']")
    names = [bar.findtext(f"{SVG}title") or "" for bar in bars]
    assert sum(int(name.rpartition(": ")[2]) for name in names) == len(latencies_ms)
    for part in root.iter():
        for name, most in (("x", 760), ("x1", 760), ("x2", 760), ("y", 420), ("y1", 420), ("y2", 420)):
            assert 0 <= float(part.get(name, 0)) <= most


def test_plot_has_a_title_and_description_for_screen_readers() -> None:
    root = drawn([1.0, 1.1, 30.0], failed=2)
    assert (root.get("role"), root.get("aria-describedby")) == ("img", "desc")
    assert root.findtext(f"{SVG}title") == root.get("aria-label") == "Latencies of 3 responses"
    assert root.findtext(f"{SVG}desc[@id='desc']") == (
        "A histogram with a logarithmic axis. p50 1.1 ms, p90 30.0 ms, p99 30.0 ms, max 30.0 ms. "
        "The fullest bucket, 1 ms to 1.25 ms, has 2 responses. 5 sent: 3 with status 200, 2 without a response."
    )


def test_plot_is_self_contained_and_has_colors_for_dark_pages() -> None:
    svg = latency_plot(a_tally([1.0, 2.0]))
    assert not re.search(rb"<script|href|url\(|@import|https?://(?!www\.w3\.org/2000/svg\")", svg)
    assert b"prefers-color-scheme: dark" in svg
    parts = {name for part in ET.fromstring(svg).iter() for name in (part.get("class") or "").split()}  # noqa: S314
    light, dark = svg.split(b"@media")
    for name in parts - {"head"}:
        assert f".{name} {{".encode() in light
        assert f".{name} {{".encode() in dark


def test_plot_of_the_same_latencies_has_the_same_bytes_and_at_most_three_statuses() -> None:
    deliveries = [Delivery(url="u", status=200 + number, latency_ms=1.0) for number in (0, 0, 1, 2, 2, 3, 4)]
    svg = latency_plot(tally_deliveries(deliveries, elapsed_s=1.0)).decode()
    assert ">7 sent: 2 with status 200, 2 with status 202, 1 with status 201, 2 with another status.<" in svg

    latencies_ms = [0.5, 3.0, 700.0]
    assert latency_plot(a_tally(latencies_ms)) == latency_plot(a_tally(latencies_ms[::-1]))
