from __future__ import annotations

import pytest

from port_hook_cli.http.limits import format_size, parse_size


def test_size_is_a_number_with_or_without_a_unit() -> None:
    for text, size in [
        ("1", 1), ("500B", 500), ("64K", 65_536), ("64 KiB", 65_536), ("32MiB", 33_554_432), ("32m", 33_554_432),
        ("1GB", 1_000_000_000), ("1gib", 1_073_741_824),
    ]:  # fmt: skip
        assert parse_size(text) == size


def test_invalid_size_is_rejected() -> None:
    for text in ["", "0", "0MiB", "-1", "1.5MiB", "x", "1TB", "MiB", "9" * 400, "\u0663"]:
        with pytest.raises(ValueError, match="is not a size like 500, 64KiB, 32MiB or 1GiB"):
            parse_size(text)


def test_size_is_written_in_its_largest_whole_unit() -> None:
    for size, text in [
        (0, "0 bytes"), (300, "300 bytes"), (1024, "1 KiB"), (1025, "1025 bytes"), (2**25, "32 MiB"),
        (2**30, "1 GiB"),
    ]:  # fmt: skip
        assert format_size(size) == text
