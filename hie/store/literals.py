"""Values written out as PostgreSQL reads them: a message of several statements takes no parameters.

https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def execute(name: str, values: Iterable[Any]) -> str:
    """Return the text that executes a prepared statement."""
    return f"EXECUTE {name} ({', '.join(map(literal, values))})"


def literal(value: Any) -> str:
    """Write a value as PostgreSQL reads it with standard_conforming_strings, whatever type it is read as."""
    kind = type(value)
    if kind is int or kind is float:
        return f"'{value!r}'"
    if kind is str:
        return _quoted(value)
    if kind is list:
        if value and type(value[0]) is str:
            return _quoted("{" + ",".join(map(_item, value)) + "}")
        return "'{" + ",".join(map(repr, value)) + "}'"
    if value is None:
        return "NULL"
    if kind is bytes:
        return f"'\\x{value.hex()}'"
    raise TypeError(f"A message holds no {kind.__name__}.")


def _item(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
