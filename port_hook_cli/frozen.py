"""`@frozen`: frozen dataclasses that cost little until they are used.

A program imports many more classes than one command uses, and `dataclasses.dataclass(frozen=True, slots=True)` compiles
seven functions for each class, which takes 0.4 to 1 ms. Here, `dataclass` only reads the fields and adds the slots,
which takes 0.05 ms. `__init__` is compiled when the first instance is created, and all classes share the other methods.
`fields`, `replace`, `asdict`, `match` and `pickle` work with the instances, because they are dataclass instances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

Class = TypeVar("Class")


@overload
def frozen(cls: type[Class]) -> type[Class]: ...
@overload
def frozen(*, kw_only: bool = False) -> Callable[[type[Class]], type[Class]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field, Field))
def frozen(cls: type[Class] | None = None, *, kw_only: bool = False) -> Any:
    """Make a class a frozen dataclass with slots. Methods that the class itself defines stay, including `__init__`."""
    if cls is None:
        return lambda cls: _frozen(cls, kw_only=kw_only)
    return _frozen(cls, kw_only=kw_only)


def _frozen(cls: type[Any], *, kw_only: bool) -> type[Any]:
    own = cls.__dict__.keys()
    made: type[Any] = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
    for name, method in _SHARED.items():
        if name not in own:
            setattr(made, name, method)
    if "__init__" not in own:
        made.__init__ = _first_init(made)
    return made


def _first_init(cls: type[Any]) -> Any:
    def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: N807 - tracebacks show this name
        cls.__init__ = _compiled_init(cls)
        cls.__init__(self, *args, **values)

    return __init__


def _compiled_init(cls: type[Any]) -> Any:
    """Return an `__init__` that sets the slots directly, because `__setattr__` of a frozen class raises an error."""
    known: dict[str, Any] = {}
    positional, keyword, body = ["self"], ["*"], []
    for each in fields(cls):
        name = each.name
        known[f"_set_{name}"] = getattr(cls, name).__set__
        known[f"_default_{name}"] = each.default
        known[f"_make_{name}"] = each.default_factory
        has_default = each.default is not MISSING or each.default_factory is not MISSING
        (keyword if each.kw_only else positional).append(f"{name}=_default_{name}" if has_default else name)
        value = name
        if each.default_factory is not MISSING:  # MISSING is the default of the parameter
            value = f"_make_{name}() if {name} is _default_{name} else {name}"
        body.append(f"    _set_{name}(self, {value})\n")
    parameters = positional + (keyword if len(keyword) > 1 else [])
    # The names are identifiers from the class's body, never user input.
    exec(f"def __init__({', '.join(parameters)}):\n{''.join(body) or '    pass'}", known)  # noqa: S102
    init = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    return init


@cache
def _compared(cls: type[Any]) -> Callable[[Any], Any]:
    """Return a function that returns the compared fields of a value of `cls`."""
    names = [each.name for each in fields(cls) if each.compare]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple([getattr(value, name) for name in names])


def _repr(self: Any) -> str:
    shown = ", ".join([f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr])
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    compared = _compared(self.__class__)
    return bool(compared(self) == compared(other))


def _hash(self: Any) -> int:
    return hash(_compared(self.__class__)(self))


def _setattr(self: Any, name: str, value: object) -> None:  # noqa: ARG001 - what Python passes
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> None:  # noqa: ARG001 - what Python passes
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, each.name) for each in fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for each, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)


_SHARED: dict[str, Any] = {
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__getstate__": _getstate,
    "__setstate__": _setstate,
}
