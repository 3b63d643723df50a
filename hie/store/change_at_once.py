"""The statements by which a message changes or deletes one resource on PostgreSQL (hie.store.at_once).

What is replaced was read before, and is locked and at that version still. All that an update in steps writes is written
by one statement: the version that ends, what it was found by, the new one with its index rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hie.store.models import DELETED
from hie.store.past import NUMBER
from hie.store.reference_targets import REFERRING, WITNESSES, Target
from hie.store.rows import ONE, of_kinds, one_values, types_of
from hie.store.search.kinds import NONE

if TYPE_CHECKING:
    from hie.store.search.kinds import Kinds
    from hie.store.unit_of_work import Written

#: What there is of a deletion.
_OF_DELETION = {name: ONE[name] for name in ("tenant", "type", "id", "vid", "method", "updated", "data_key")}
#: The parts see the rows as they were before, all of them.
_KEPT = """kept AS (
        INSERT INTO resource_history (tenant, type, id, vid, method, updated, data_key, sealed, written)
        SELECT tenant, type, id, vid, method, updated, data_key, sealed, written FROM resource WHERE key = {key}
    )"""
_PAST = f"""past AS (
        INSERT INTO past_version (key, vid, tenant, type, id, method, updated, until, date_low, date_high, presence,
                                  tokens, written, ended)
        SELECT key, vid, tenant, type, id, method, updated, {{updated}}, date_low, date_high, presence, tokens, written,
               {NUMBER}
        FROM resource WHERE key = {{key}} AND method <> {DELETED}
    )"""
_PAST_DATES = """past_dates AS (
        INSERT INTO date_past (key, vid, parameter, low, high)
        SELECT key, {vid} - 1, parameter, low, high FROM date_index WHERE key = {key}
    )"""
_PAST_NUMBERS = """past_numbers AS (
        INSERT INTO number_past (key, vid, parameter, low, high, unit, code, text)
        SELECT key, {vid} - 1, parameter, low, high, unit, code, text FROM number_index WHERE key = {key}
    )"""
_CHANGED = """changed AS (
        UPDATE resource SET vid = {vid}, method = {method}, updated = {updated}, date_low = {date_low},
            date_high = {date_high}, presence = {presence}, data_key = {data_key}, sealed = {sealed},
            tokens = {tokens}, written = DEFAULT
        WHERE key = {key} AND tenant = {tenant} AND type = {type} AND id = {id}
    )"""
#: Index rows that stay are left alone: what goes and what comes are different rows, so that the order of the parts does
#: not matter.
_CHANGED_DATES = """gone_dates AS (
        DELETE FROM date_index WHERE key = {key} AND (parameter, low, high) NOT IN (
            SELECT * FROM unnest({dp}, {dl}, {dh}))
    ), d AS (
        INSERT INTO date_index (key, parameter, low, high)
        SELECT {key}, u.* FROM unnest({dp}, {dl}, {dh}) u ON CONFLICT DO NOTHING
    )"""
_CHANGED_NUMBERS = """gone_numbers AS (
        DELETE FROM number_index WHERE key = {key} AND (parameter, low, high, unit, code, text) NOT IN (
            SELECT * FROM unnest({np}, {nl}, {nh}, {nu}, {nc}, {nt}))
    ), n AS (
        INSERT INTO number_index (key, parameter, low, high, unit, code, text)
        SELECT {key}, u.* FROM unnest({np}, {nl}, {nh}, {nu}, {nc}, {nt}) u ON CONFLICT DO NOTHING
    )"""
_CHANGED_LINKS = """gone_links AS (
        DELETE FROM reference_index WHERE key = {key} AND (parameter, target) NOT IN (
            SELECT * FROM unnest({lp}, {lt}))
    ), l AS (
        INSERT INTO reference_index (key, parameter, target)
        SELECT {key}, u.* FROM unnest({lp}, {lt}) u ON CONFLICT DO NOTHING
    )"""
_DELETED = """changed AS (
        UPDATE resource SET vid = {vid}, method = {method}, updated = {updated}, date_low = NULL,
            date_high = NULL, presence = 0, data_key = {data_key}, sealed = NULL, tokens = NULL, written = DEFAULT
        WHERE key = {key} AND tenant = {tenant} AND type = {type} AND id = {id}
    )"""
_GONE = "gone_{0} AS (DELETE FROM {1} WHERE key = {{key}})"
_GONE_DATES, _GONE_NUMBERS = _GONE.format("dates", "date_index"), _GONE.format("numbers", "number_index")
_GONE_LINKS = _GONE.format("links", "reference_index")


def change(kinds: Kinds) -> str:
    """Return the parts of a statement that changes a resource which has or had index rows of some kinds."""
    past, changed = of_kinds(kinds, _PAST_DATES, _PAST_NUMBERS), of_kinds(kinds, _CHANGED_DATES, _CHANGED_NUMBERS)
    return "WITH " + ", ".join([_KEPT, _PAST, *past, _CHANGED, *changed, _CHANGED_LINKS])


def delete(kinds: Kinds) -> str:
    """Return the parts of a statement that deletes a resource which had index rows of some kinds."""
    past, gone = of_kinds(kinds, _PAST_DATES, _PAST_NUMBERS), of_kinds(kinds, _GONE_DATES, _GONE_NUMBERS)
    return "WITH " + ", ".join([_KEPT, _PAST, *past, _DELETED, *gone, _GONE_LINKS])


_WITNESSES = ", ".join(f"'{name}'" for name in sorted(WITNESSES))
#: What refers to one of some places, though it is none that only tells what happened.
UNREFERENCED = (
    f"SELECT FROM (SELECT * FROM ({REFERRING}) AS referring WHERE type NOT IN ({_WITNESSES})) AS referring"
)
#: What a deletion takes.
DELETED_ONE = {"key": "int8", "place": "int8", **_OF_DELETION}


def types_changed(kinds: Kinds, *, refers: bool = False) -> dict[str, str]:
    """Return what a change takes."""
    return {"key": "int8", **types_of(kinds, refers=refers)}


def changed_values(tenant: int, written: Written, targets: Sequence[Target], kinds: Kinds) -> list[Any]:
    """Return what a change is stored from, in the order of `types_changed`."""
    return [_key(written), *one_values(tenant, written, targets, kinds).values()]


def deleted_values(tenant: int, written: Written, place: int | None) -> list[Any]:
    """Return what a deletion is stored from, in the order of `DELETED_ONE`."""
    new = one_values(tenant, written, (), NONE)
    return [_key(written), place, *(new[name] for name in _OF_DELETION)]


def _key(written: Written) -> int:
    assert written.replaced is not None  # noqa: S101 - a change replaces something
    return written.replaced.key

