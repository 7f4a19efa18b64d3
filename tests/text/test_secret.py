from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.headers import mask_headers
from port_hook_cli.invocations.models import Headers
from port_hook_cli.text.secret import MASK, Secret

# A copy of the package's list, so that a header missing there fails here.
CREDENTIALS = {"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"}
NAMES = st.one_of(st.sampled_from(sorted(CREDENTIALS)), st.text(max_size=12)).flatmap(
    lambda name: st.sampled_from([name, name.upper(), name.title()])
)
HEADERS = st.lists(st.tuples(NAMES, st.text(max_size=20))).map(lambda items: Headers(tuple(items)))


def test_a_secret_is_shown_only_by_reveal() -> None:
    secret = Secret("s3cr3t")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{[secret]}", f"{secret}"]
    assert not any("s3cr3t" in text for text in shown)
    assert secret.reveal() == "s3cr3t"


def test_secrets_are_equal_when_their_values_are() -> None:
    assert Secret("a") == Secret("a") != Secret("b")


@given(HEADERS)
def test_mask_headers_masks_only_the_values_of_credentials(headers: Headers) -> None:
    masked = mask_headers(headers)
    assert [name for name, _ in masked] == [name for name, _ in headers]
    for (name, before), (_, after) in zip(headers, masked, strict=True):
        assert after == (MASK if name.lower() in CREDENTIALS else before)


@given(HEADERS)
def test_mask_headers_is_idempotent(headers: Headers) -> None:
    assert mask_headers(mask_headers(headers)) == mask_headers(headers)
