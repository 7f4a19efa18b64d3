from __future__ import annotations

import pytest

from port_hook_cli.cli.declaration import refuse_contradictions
from port_hook_cli.errors import UsageError


def test_options_that_do_not_contradict_each_other_are_accepted() -> None:
    refuse_contradictions(
        {"--a": True, "--b": False},
        {"--c": False, "--d": False},
        stdin=(("the body", "-"), ("the secret", "secret.txt"), ("the key", None)),
        pointless={"--e sends nothing": {"--f": False}},
    )


def test_exclusive_options_are_refused_and_named() -> None:
    with pytest.raises(UsageError, match=r"^--a, --b and --d exclude each other\.$") as caught:
        refuse_contradictions({"--x": True}, {"--a": True, "--b": True, "--c": False, "--d": True})
    assert caught.value.hint == "Give only one of them."


def test_stdin_is_refused_when_two_inputs_are_read_from_it() -> None:
    with pytest.raises(UsageError, match=r"^The body and the secret cannot both use stdin\.$"):
        refuse_contradictions(stdin=(("the body", "-"), ("the key", "k"), ("the secret", "-")))


def test_an_option_without_effect_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match=r"^--e sends nothing, so --f has no effect\.$") as caught:
        refuse_contradictions(pointless={"--e sends nothing": {"--g": False, "--f": True}})
    assert caught.value.hint == "Leave out --f."


def test_an_option_that_needs_another_is_refused_with_the_name_of_the_other() -> None:
    with pytest.raises(UsageError, match=r"^Nothing is sent without --send, so --to has no effect\.$") as caught:
        refuse_contradictions(pointless={"Nothing is sent without --send": {"--to": True}})
    assert caught.value.hint == "Add --send, or leave out --to."


def test_every_refusal_begins_with_a_capital_letter() -> None:
    with pytest.raises(UsageError, match=r"^A MESSAGE and --check exclude each other\.$"):
        refuse_contradictions({"a MESSAGE": True, "--check": True})
    with pytest.raises(UsageError, match=r"^The key and the secret cannot both use stdin\.$"):
        refuse_contradictions(stdin=(("the key", "-"), ("the secret", "-")))
    with pytest.raises(UsageError, match=r"^Nothing is sent, so --to has no effect\.$"):
        refuse_contradictions(pointless={"nothing is sent": {"--to": True}})
