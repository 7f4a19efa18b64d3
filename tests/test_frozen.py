"""`@frozen` makes the same values as a frozen dataclass with slots, and compiles methods with the first value."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from copy import deepcopy
from dataclasses import FrozenInstanceError, asdict, dataclass, field, replace
from typing import Any

import pytest

from port_hook_cli.frozen import frozen


@frozen
class Point:
    """Made by `@frozen`. The standard library makes `_Point`."""

    x: int
    y: int = 2
    tags: dict[str, str] = field(default_factory=dict)
    secret: str = field(default="s", repr=False)
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class _Point:
    x: int
    y: int = 2
    tags: dict[str, str] = field(default_factory=dict)
    secret: str = field(default="s", repr=False)
    note: str = field(default="", compare=False)


@frozen(kw_only=True)
class Base:
    """A class that `Extended` extends."""

    a: int = 1


@frozen
class Extended(Base):
    """A class with a positional field and an inherited keyword-only field."""

    b: int


@frozen
class Own:
    """A class with its own methods."""

    a: int

    def __repr__(self) -> str:
        """Return a fixed text."""
        return "own"

    def __hash__(self) -> int:
        """Return a fixed number."""
        return 7


def _like(made: type[Any]) -> list[object]:
    one, same, other = made(1), made(1, note="n"), made(1, 3, tags={"a": "b"})
    matched: object = None
    match other:
        case made(x, y):
            matched = (x, y)
        case _:
            pass
    return [
        repr(one).replace(made.__name__, "P"),
        one == same,
        one == other,
        one == (1, 2),
        one.tags is not same.tags,
        asdict(other),
        repr(replace(other, x=5)).replace(made.__name__, "P"),
        matched,
        made.__match_args__,
        made.__slots__,
        repr(deepcopy(other)).replace(made.__name__, "P"),
        pickle.loads(pickle.dumps(other)) == other,  # noqa: S301 - pickled here
    ]


def test_values_behave_like_values_of_a_frozen_dataclass() -> None:
    assert _like(Point) == _like(_Point)


@pytest.mark.parametrize(
    "change",
    [
        lambda it: setattr(it, "x", 2),
        lambda it: delattr(it, "x"),
    ],
)
def test_values_cannot_change(change: Callable[[Point], None]) -> None:
    point = Point(1)
    with pytest.raises(FrozenInstanceError):
        change(point)
    assert point == Point(1)


def test_equal_values_have_the_same_hash() -> None:
    assert hash(Base(a=3)) == hash(Base(a=3))
    assert len({Base(a=3), Base(a=3), Base(a=4)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(1))  # like a dataclass, because it contains a dict


def test_error_lists_unknown_arguments() -> None:
    with pytest.raises(TypeError, match=r"Point\.__init__\(\) missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Base\.__init__\(\) takes 1 positional argument but 2 were given"):
        Base(1)  # type: ignore[call-arg]


def test_class_can_be_extended_and_keeps_its_methods() -> None:
    assert repr(Extended(2)) == "Extended(a=1, b=2)"
    assert Extended(2, a=4) == Extended(2, a=4) != Extended(2)
    assert Extended(2) != Base()

    assert (repr(Own(1)), hash(Own(1)), Own(1) == Own(1)) == ("own", 7, True)


def test_methods_are_not_compiled_before_the_first_value() -> None:
    @frozen
    class Late:
        """A class without values."""

        a: int

    first = Late.__init__
    assert Late(1).a == 1
    assert Late.__init__ is not first
