"""PostgreSQL: rows written in COPY's binary format: https://www.postgresql.org/docs/current/sql-copy.html

A Bundle of 700 resources has thousands of index rows of few numbers each; the driver, which looks up for every value
how its type is written, took longer over them than the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from struct import Struct
from typing import Any

from sqlalchemy import Connection

from hie.store.prepared import driver_of

_BEGIN = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # the signature, no flags, no extension of the header
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_INT8_OID = 20
#: Written to the connection at once.
_BLOCK = 1 << 17

_length = Struct(">i").pack
_columns = Struct(">h").pack
#: Types of fixed size: their letter of struct, and their bytes.
_FIXED = {"int2": ("h", 2), "int4": ("i", 4), "int8": ("q", 8), "float8": ("d", 8)}


def copy_in(connection: Connection, target: str, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows; `target` is the table with its columns, `types` are theirs (of `_FIXED`, text, bytea, int8[])."""
    with driver_of(connection).cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as copy:
        for block in blocks(types, rows):
            copy.write(block)


def blocks(types: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    """Yield rows as COPY reads them, with the header and the end."""
    found = bytearray(_BEGIN)
    for row in _packed(types, rows):
        found += row
        if len(found) > _BLOCK:
            yield bytes(found)
            found.clear()
    found += _END
    yield bytes(found)


def _packed(types: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    """Yield each row; what has numbers alone, none of them NULL, is written by one call."""
    if any(name not in _FIXED for name in types) or any(None in row for row in rows):
        yield from _mixed(types, rows)
        return
    pack = Struct(">h" + "".join("i" + _FIXED[name][0] for name in types)).pack
    values: list[Any] = [len(types)]
    for name in types:
        values += [_FIXED[name][1], None]
    for row in rows:
        values[2::2] = row
        yield pack(*values)


def _mixed(types: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    writers = [_writer(name) for name in types]
    begin = _columns(len(types))
    for row in rows:
        fields = [_NULL if value is None else write(value) for write, value in zip(writers, row, strict=True)]
        yield begin + b"".join(fields)


@cache
def _writer(type_name: str) -> Callable[[Any], bytes]:
    """Return what writes one value of a type, its length before it."""
    if type_name in _FIXED:
        letter, size = _FIXED[type_name]
        pack = Struct(f">i{letter}").pack

        def fixed(value: Any) -> bytes:
            return pack(size, value)

        return fixed
    others: dict[str, Callable[[Any], bytes]] = {"text": _text, "bytea": _bytea, "int8[]": _int8_array}
    return others[type_name]


def _text(value: str) -> bytes:
    return _bytea(value.encode())


def _bytea(value: bytes) -> bytes:
    return _length(len(value)) + value


def _int8_array(value: Sequence[int]) -> bytes:
    """Write an array: dimensions, whether one is NULL, the type; then length and first index, then the elements."""
    number = len(value)
    if not number:
        return _empty_array
    values = [8] * (2 * number)
    values[1::2] = value
    return _array(number)(20 + 12 * number, 1, 0, _INT8_OID, number, 1, *values)


_empty_array = Struct(">iiii").pack(12, 0, 0, _INT8_OID)


@lru_cache(maxsize=1024)
def _array(number: int) -> Callable[..., bytes]:
    return Struct(">iiiiii" + "iq" * number).pack
