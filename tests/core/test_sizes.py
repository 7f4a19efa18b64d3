from __future__ import annotations

import pytest

from port_hook_cli.core.sizes import parse_size
from port_hook_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1048576),
        ("10B", 10),
        ("64k", 65536),
        ("64KiB", 65536),
        ("512M", 512 * 1024**2),
        ("512 MiB", 512 * 1024**2),
        ("1GiB", 1024**3),
        ("1gb", 1024**3),
        ("2T", 2 * 1024**4),
    ],
)
def test_a_size_is_bytes_or_has_a_unit_of_1024(text: str, size: int) -> None:
    assert parse_size(text, option="--max-store") == size


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1.5G", "1 X", "1GiBs", "\u0661G", "9" * 16])
def test_text_that_is_not_a_size_is_refused_with_the_name_of_the_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"--max-store .* is not a size"):
        parse_size(text, option="--max-store")
