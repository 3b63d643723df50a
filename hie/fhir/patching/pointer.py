"""JSON Pointer: https://www.rfc-editor.org/rfc/rfc6901"""

from __future__ import annotations

import re
from typing import Any

from hie.fhir.json_format import DEFAULT_MAX_DEPTH

Pointer = tuple[str, ...]

_WRONG_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
#: Steps of a pointer, the last of which leads to something new.
LONGEST = DEFAULT_MAX_DEPTH + 1
END = "-"
"""The place behind the last element of an array."""


class PointerError(ValueError):
    """A text that is no pointer."""


class NotThere(Exception):
    """A pointer that leads to nothing in this document; the text says at which step."""


def parse(text: Any) -> Pointer:
    """Take a pointer apart; the empty one means the whole document."""
    if not isinstance(text, str):
        raise PointerError("is not a string")
    if text and text[0] != "/":
        raise PointerError(f"is {text[:80]!r}; a JSON Pointer is empty or begins with /")
    if text.count("/") > LONGEST:
        raise PointerError(f"has more than {LONGEST} steps; nothing is nested so deep")
    if _WRONG_ESCAPE.search(text):
        raise PointerError(f"is {text[:80]!r}; behind ~ stands 0 (for ~) or 1 (for /)")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def shown(pointer: Pointer) -> str:
    """Write a pointer."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in pointer)


def at(node: Any, pointer: Pointer) -> Any:
    """Return what a pointer leads to."""
    for depth, token in enumerate(pointer):
        where = pointer[: depth + 1]
        if isinstance(node, dict):
            if token not in node:
                raise NotThere(f"there is no {_told(where)}")
            node = node[token]
        elif isinstance(node, list):
            node = node[index(node, token, where)]
        else:
            raise NotThere(f"{_told(pointer[:depth])} is no object and no array, so there is no {_told(where)}")
    return node


def index(array: list[Any], token: str, where: Pointer, *, extra: int = 0) -> int:
    """Read an index of an array; `extra` 1 also takes the place behind its end."""
    if token == END and extra:
        return len(array)
    if _INDEX.fullmatch(token) is None:
        raise NotThere(f"{_told(where)} ends in {token[:40]!r}, which is no index of an array")
    number = int(token)
    if number >= len(array) + extra:
        raise NotThere(f"there is no {_told(where)}: the array has {len(array)} elements")
    return number


def _told(pointer: Pointer) -> str:
    return shown(pointer)[:200] or "the document"
