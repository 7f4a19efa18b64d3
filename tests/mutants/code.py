"""Replace the code of functions that exist already, so that a mutation needs no new import."""

from __future__ import annotations

import functools
import gc
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

_IN_FUNCTION = 1  # CO_OPTIMIZED: neither a module nor a class body
_COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}


class AtImportError(Exception):
    """The mutated code runs when its module is imported."""


def changes(old: CodeType, new: CodeType, *, is_inside: bool = False) -> Iterator[tuple[CodeType, CodeType]]:
    """Yield the old and the new code of each function that differs. Raises AtImportError."""
    runs_at_import = not is_inside and (not old.co_flags & _IN_FUNCTION or old.co_name in _COMPREHENSIONS)
    if not runs_at_import:
        if _same(old, new):
            return
        yield old, new
    elif _own(old) != _own(new):
        raise AtImportError
    inner, mutated = list(_nested(old)), list(_nested(new))
    if len(inner) == len(mutated):
        for one, other in zip(inner, mutated, strict=True):
            yield from changes(one, other, is_inside=not runs_at_import)


def _nested(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _own(code: CodeType) -> tuple[Any, ...]:
    constants = [repr(constant) for constant in code.co_consts if not isinstance(constant, CodeType)]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, constants, names, code.co_exceptiontable, len(list(_nested(code)))


def _same(old: CodeType, new: CodeType) -> bool:
    return _own(old) == _own(new) and all(map(_same, _nested(old), _nested(new)))


@dataclass
class Functions:
    """The functions of the package in this process, and its caches."""

    _of_code: dict[tuple[str, str, int], list[FunctionType]] = field(default_factory=lambda: defaultdict(list))
    _caches: list[Any] = field(default_factory=list)

    @classmethod
    def below(cls, folder: Path) -> Functions:
        """Find all functions whose source is in the folder."""
        found, kind = cls(), type(functools.cache(len))
        gc.unfreeze()
        for each in gc.get_objects():
            if isinstance(each, kind):
                found._caches.append(each)
            elif isinstance(each, FunctionType) and each.__code__.co_filename.startswith(f"{folder}/"):
                found._of_code[_key(each.__code__)].append(each)
        gc.freeze()
        return found

    def is_cached(self, code: CodeType) -> bool:
        """Whether results of this code are cached, so that a test may use it without running it."""
        return any(_key(code) == _key(each.__wrapped__.__code__) for each in self._caches if _is_python(each))

    def replace(self, old: CodeType, new: CodeType) -> None:
        """Give the functions with the old code the new code. Raises ValueError if they close over other variables."""
        for function in self._of_code.get(_key(old), ()):
            if function.__code__ == old:
                function.__code__ = new
        for each in self._caches:
            each.cache_clear()


def _is_python(cached: Any) -> bool:
    return isinstance(getattr(cached, "__wrapped__", None), FunctionType)


def _key(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno
