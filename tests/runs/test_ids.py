from __future__ import annotations

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.runs.ids import check_run_id, doubt_about, make_run_id


@given(st.randoms(use_true_random=False))
def test_new_run_id_has_the_format_of_an_action_run_id(choices: random.Random) -> None:
    run_id = make_run_id(choices.choice)
    assert re.fullmatch("r_[0-9A-Za-z]{16}", run_id)
    assert is_run_id(run_id)
    assert check_run_id(run_id) == run_id
    assert doubt_about(run_id) is None


def test_new_run_id_has_the_chosen_characters_in_order() -> None:
    chosen = iter("0123456789abcXYZ")
    assert make_run_id(lambda _: next(chosen)) == "r_0123456789abcXYZ"
