from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.kafka_clusters import Cluster, running_cluster

_numbers = count(1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture
def org(cluster: Cluster) -> str:
    """An organization whose topics exist and are empty."""
    org_id = f"org_{next(_numbers)}"
    cluster.make(f"{org_id}.runs", f"{org_id}.change.log")
    return org_id
