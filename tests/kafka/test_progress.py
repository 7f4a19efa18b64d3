from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.kafka.progress import PartitionProgress


@given(st.sets(st.integers(0, 200), min_size=1), st.randoms(use_true_random=False))
def test_the_position_never_passes_a_message_that_is_not_saved(offsets: set[int], random: object) -> None:
    progress, unsaved = PartitionProgress(), set(offsets)
    for offset in sorted(offsets):
        progress.start(offset)
    order = sorted(offsets)
    random.shuffle(order)  # type: ignore[attr-defined]
    for offset in order:
        unsaved.discard(offset)
        progress.finish(offset)
        expected = [saved + 1 for saved in sorted(offsets) if not any(other <= saved for other in unsaved)]
        assert progress.next_offset == (expected[-1] if expected else None)
    assert len(progress) == 0


def test_the_position_is_returned_only_when_it_changes() -> None:
    progress = PartitionProgress()
    for offset in (5, 6, 9):
        progress.start(offset)

    assert [progress.finish(6), progress.finish(5), progress.finish(9)] == [None, 7, 10]


def test_the_position_stays_before_a_message_that_another_consumer_gets() -> None:
    progress = PartitionProgress()
    for offset in (1, 2, 3):
        progress.start(offset)
    progress.drop(3)

    assert [progress.finish(1), progress.finish(2)] == [2, 3]
    assert len(progress) == 0
