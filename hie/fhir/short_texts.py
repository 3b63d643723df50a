"""Answers that are kept for texts which clients may choose: only for short ones, or a few would fill the memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Function = Callable[Concatenate[str, _P], _R]

#: No name, unit or date that means anything is longer.
LONGEST = 256


def remembered_if_short(most: int, longest: int = LONGEST) -> Callable[[_Function[_P, _R]], _Function[_P, _R]]:
    """Keep a function's last answers, as many as `most`; for a first argument longer than `longest` none."""

    def of(function: _Function[_P, _R]) -> _Function[_P, _R]:
        kept: Callable[..., _R] = lru_cache(maxsize=most)(function)

        @wraps(function)
        def asked(text: str, *args: _P.args, **kwargs: _P.kwargs) -> _R:
            if len(text) > longest:
                return function(text, *args, **kwargs)
            return kept(text, *args, **kwargs)

        return asked

    return of
