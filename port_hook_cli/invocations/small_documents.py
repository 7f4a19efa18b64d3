"""Parse a small body once for all its readers: a Kafka message's source, its verification and its payload."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

SMALL_BYTES = 16 * 1024
"""Larger bodies are not cached, because their documents can take many times as much memory."""

# This is faster than `json.loads`, which checks its options in each call.
_decode = json.JSONDecoder().decode


@lru_cache(maxsize=1)
def small_document(body: bytes) -> Any:
    """Return the JSON document in a body of at most SMALL_BYTES. All callers share the document and must not change it.

    Raises ValueError if the body is not JSON in UTF-8, or RecursionError.
    """
    return _decode(body.decode("utf-8"))
