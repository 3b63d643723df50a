"""The answer while it is made: rows of cells, as @flatten lifts what is below into the row above, as lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hie.errors import InvalidRequest


@dataclass(slots=True)
class Cell:
    """The values of one key.

    `single`: @singleton said that there is one; `found`: a search found them, so that none are an empty list.
    """

    items: list[Any] = field(default_factory=list)
    is_list: bool = False
    single: bool = False
    found: bool = False


Row = dict[str, Cell]


def place(row: Row, key: str, cell: Cell) -> None:
    """Put a cell into its row."""
    row[key] = cell


def lift(row: Row, below: Row) -> None:
    """Put the cells of a flattened row into the row above: lists, unless @singleton says otherwise."""
    for key, cell in below.items():
        if not cell.items and key in row:
            continue
        here = row.setdefault(key, Cell(is_list=not cell.single, single=cell.single))
        here.items.extend(cell.items)
        if here.single and len(here.items) > 1:
            raise InvalidRequest(f"{key} has @singleton, and more than one value.", expression="query")


def written(row: Row) -> dict[str, Any]:
    """Return a row as JSON."""
    return {key: _written(cell) for key, cell in row.items()}


def _written(cell: Cell) -> Any:
    items = [written(one) if isinstance(one, dict) else one for one in cell.items]
    if not items:
        return [] if cell.found and cell.is_list else None
    return items if cell.is_list else items[0]
