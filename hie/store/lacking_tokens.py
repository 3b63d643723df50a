"""Which wanted tokens are not in the tables of SQLite: asked for many resources at once, in the order of the table."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection, Table

Row = tuple[int, ...]


def lacking(connection: Connection, table: Table, wanted: Iterable[Row]) -> set[Row]:
    """Return those of the wanted rows (all columns of the table, the hash first) that are not there."""
    columns = [column.name for column in table.columns]
    values = [f"json_extract(wanted.value, '$[{n}]')" for n in range(len(columns))]
    same = " AND ".join(f"{table.name}.{name} = {value}" for name, value in zip(columns, values, strict=True))
    statement = (
        f"SELECT {', '.join(values)} FROM json_each(?) AS wanted "
        f"WHERE NOT EXISTS (SELECT 1 FROM {table.name} WHERE {same})"
    )
    return {tuple(row) for row in connection.exec_driver_sql(statement, (json.dumps(sorted(wanted)),))}
