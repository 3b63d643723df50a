"""The answer while it is made: rows of cells, as @flatten lifts what is below into the row above, as lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hie.errors import InvalidRequest


@dataclass(slots=True)
class Cell:
    """The values of one key.

    `single`: @singleton said that there is one; `found`: a search found them, so that none are an empty list; `kind`:
    the type of the values; `lifted`: they come from below.
    """

    items: list[Any] = field(default_factory=list)
    is_list: bool = False
    single: bool = False
    found: bool = False
    kind: str = ""
    lifted: bool = False


Row = dict[str, Cell]


def place(row: Row, key: str, cell: Cell) -> None:
    """Put a cell into its row."""
    if key in row:
        raise _there(key)
    row[key] = cell


def add(row: Row, key: str, cell: Cell) -> None:
    """Put the value of a slice into its row, beside others of the slice."""
    here = row.setdefault(key, Cell(is_list=cell.is_list, single=cell.single, kind=cell.kind))
    if here.lifted or here.kind != cell.kind:
        raise _there(key)
    _extend(here, key, cell)


def lift(row: Row, below: Row) -> None:
    """Put the cells of a flattened row into the row above: lists, unless @singleton says otherwise."""
    for key, cell in below.items():
        here = row.get(key)
        if here is None:
            here = row[key] = Cell(is_list=not cell.single, single=cell.single, kind=cell.kind, lifted=True)
        elif not here.lifted:
            raise _there(key)
        elif here.kind != cell.kind:
            raise _refused(f"@flatten brings values of two types, {here.kind} and {cell.kind}, to the one key {key}; "
                           "give one of them an alias.")
        _extend(here, key, cell)


def _extend(here: Cell, key: str, cell: Cell) -> None:
    here.items.extend(cell.items)
    if here.single and len(here.items) > 1:
        raise _refused(f"{key} has @singleton, and more than one value.")


def _there(key: str) -> InvalidRequest:
    return _refused(f"{key} is there already where @flatten or @slice brings it; give one of them an alias.")


def _refused(told: str) -> InvalidRequest:
    return InvalidRequest(told, expression="query")


def written(row: Row) -> dict[str, Any]:
    """Return a row as JSON."""
    return {key: _written(cell) for key, cell in row.items()}


def _written(cell: Cell) -> Any:
    items = [written(one) if isinstance(one, dict) else one for one in cell.items]
    if not items:
        return [] if cell.found and cell.is_list else None
    return items if cell.is_list else items[0]
