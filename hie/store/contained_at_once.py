"""The statements by which a message writes what one resource contains on PostgreSQL (hie.store.at_once).

They follow the one that stores the resource: its key is looked up, as a new one is given there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hie.store.models import FOREVER
from hie.store.past import NUMBER
from hie.store.rows import columns

if TYPE_CHECKING:
    from hie.store.unit_of_work import Written

#: What ends is what the version before contained.
ENDED = {"container": "int8", "at": "int8"}
END = (
    f"UPDATE contained SET until = {{at}}, ended = {NUMBER} WHERE container = {{container}} AND until = {FOREVER}"
)
#: One contained resource, of the resource `of_type`/`of_id`; lists are columns of its index rows.
KEPT = {
    "tenant": "int4", "of_type": "text", "of_id": "text", "vid": "int4", "updated": "int8", "part": "int4",
    "type": "text", "fragment": "int8", "date_low": "int8", "date_high": "int8", "presence": "int8",
    "tokens": "int8[]", "dp": "int8[]", "dl": "int8[]", "dh": "int8[]", "np": "int8[]", "nl": "float8[]",
    "nh": "float8[]", "nu": "int8[]", "nc": "int8[]", "nt": "int8[]",
}  # fmt: skip
KEEP = f"""
    WITH c AS (
        INSERT INTO contained (container, vid, part, tenant, type, fragment, updated, until, date_low, date_high,
                               presence, tokens, written)
        SELECT key, {{vid}}, {{part}}, {{tenant}}, {{type}}, {{fragment}}, {{updated}}, {FOREVER}, {{date_low}},
               {{date_high}}, {{presence}}, {{tokens}}, {NUMBER}
        FROM resource WHERE tenant = {{tenant}} AND type = {{of_type}} AND id = {{of_id}}
        RETURNING key
    ), d AS (
        INSERT INTO contained_date (key, parameter, low, high)
        SELECT c.key, u.* FROM c, unnest({{dp}}, {{dl}}, {{dh}}) u
    )
        INSERT INTO contained_number (key, parameter, low, high, unit, code, text)
        SELECT c.key, u.* FROM c, unnest({{np}}, {{nl}}, {{nh}}, {{nu}}, {{nc}}, {{nt}}) u
"""


def ended_values(written: Written) -> Iterator[list[Any]]:
    """Yield what ends what the version before contained, in the order of `ENDED`."""
    if written.replaced is not None and written.replaced_index is not None and written.replaced_index.contained:
        yield [written.replaced.key, written.version.updated]


def kept_values(tenant: int, written: Written) -> Iterator[list[Any]]:
    """Yield what each contained resource is stored from, in the order of `KEPT`."""
    version = written.version
    for one in written.index.contained:
        rows = one.rows
        yield [tenant, version.type, version.id, version.vid, version.updated, one.part, one.type, one.fragment,
               rows.date_low, rows.date_high, rows.presence, rows.tokens, *columns(3, rows.dates),
               *columns(6, rows.numbers)]  # fmt: skip
