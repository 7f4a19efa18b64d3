from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.sandbox.access import read_token, signed_token

KEY = b"a-key"
CLAIMS = st.dictionaries(
    st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(max_size=8), max_size=4
)


@given(CLAIMS)
def test_claims_of_a_token_are_read_with_its_key_alone(claims: dict[str, object]) -> None:
    token = signed_token(claims, KEY)
    assert read_token(token, KEY) == claims
    assert read_token(token, b"another") is None


@given(st.text(max_size=60))
def test_text_that_was_not_signed_is_not_a_token(text: str) -> None:
    assert read_token(text, KEY) is None
    signed = signed_token({"exp": 1}, KEY)
    header, claims, signature = signed.split(".")
    for changed in (f"{header}.{claims}.{text}", f"{header}.{text}.{signature}", f"{text}.{claims}.{signature}"):
        assert changed == signed or read_token(changed, KEY) is None
