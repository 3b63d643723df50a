"""One resource that is changed or deleted on PostgreSQL: locked, stored and committed by one message.

What it replaces was read before, without a lock. The message locks the row and goes on only where it is at that
version still; all that an update in steps writes is written inside: the version that ends, what it was found by, the
new one with its index rows, the audit record. A deletion also sees to it that nothing refers to it. Where anything is
not as it must be, the message fails by a division by zero and nothing is kept, as in hie.store.at_once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hie.store.at_once import (
    AUDIT,
    PLAN,
    PREPARE_KEY,
    PREPARE_PLAN,
    REFUSED,
    STORE_KEY,
    execute,
    key_statements,
    prepared,
)
from hie.store.models import DELETED
from hie.store.past import NUMBER
from hie.store.rows import ONE, REFERRING, TARGETS, WITNESSES, Current, Target, columns, one_values

if TYPE_CHECKING:
    from hie.store.keys import NewKey
    from hie.store.search.index import IndexRows
    from hie.store.unit_of_work import Written

#: What the past keeps of the version that is replaced; lists are columns of its index rows.
_PAST = {
    "p_low": "int8", "p_high": "int8", "p_presence": "int8", "p_tokens": "int8[]", "p_dp": "int8[]", "p_dl": "int8[]",
    "p_dh": "int8[]", "p_np": "int8[]", "p_nl": "float8[]", "p_nh": "float8[]", "p_nu": "int8[]", "p_nc": "int8[]",
    "p_nt": "int8[]",
}  # fmt: skip
#: What there is of a deletion.
_OF_DELETION = {name: ONE[name] for name in ("tenant", "type", "id", "vid", "method", "updated", "data_key")}
#: They see the rows as they were before, in all of their parts.
_KEEP = f"""
    WITH kept AS (
        INSERT INTO resource_history (tenant, type, id, vid, method, updated, data_key, sealed, written)
        SELECT tenant, type, id, vid, method, updated, data_key, sealed, written FROM resource WHERE key = {{key}}
    ), past AS (
        INSERT INTO past_version (key, vid, tenant, type, id, method, updated, until, date_low, date_high, presence,
                                  tokens, written, ended)
        SELECT key, vid, tenant, type, id, method, updated, {{updated}}, {{p_low}}, {{p_high}}, {{p_presence}},
               {{p_tokens}}, written, {NUMBER}
        FROM resource WHERE key = {{key}} AND method <> {DELETED}
    ), past_dates AS (
        INSERT INTO date_past (key, vid, parameter, low, high)
        SELECT key, vid, u.* FROM resource, unnest({{p_dp}}, {{p_dl}}, {{p_dh}}) u
        WHERE key = {{key}} AND method <> {DELETED}
    ), past_numbers AS (
        INSERT INTO number_past (key, vid, parameter, low, high, unit, code, text)
        SELECT key, vid, u.* FROM resource,
               unnest({{p_np}}, {{p_nl}}, {{p_nh}}, {{p_nu}}, {{p_nc}}, {{p_nt}}) u
        WHERE key = {{key}} AND method <> {DELETED}
    ), """
#: Index rows that stay are left alone: what goes and what comes are different rows, so that the order of the parts does
#: not matter.
_CHANGE_ONE = f"""{_KEEP}
    changed AS (
        UPDATE resource SET vid = {{vid}}, method = {{method}}, updated = {{updated}}, date_low = {{date_low}},
            date_high = {{date_high}}, presence = {{presence}}, data_key = {{data_key}}, sealed = {{sealed}},
            tokens = {{tokens}}, written = DEFAULT
        WHERE key = {{key}} AND tenant = {{tenant}} AND type = {{type}} AND id = {{id}}
    ), gone_dates AS (
        DELETE FROM date_index WHERE key = {{key}} AND (parameter, low, high) NOT IN (
            SELECT * FROM unnest({{dp}}, {{dl}}, {{dh}}))
    ), d AS (
        INSERT INTO date_index (key, parameter, low, high)
        SELECT {{key}}, u.* FROM unnest({{dp}}, {{dl}}, {{dh}}) u ON CONFLICT DO NOTHING
    ), gone_numbers AS (
        DELETE FROM number_index WHERE key = {{key}} AND (parameter, low, high, unit, code, text) NOT IN (
            SELECT * FROM unnest({{np}}, {{nl}}, {{nh}}, {{nu}}, {{nc}}, {{nt}}))
    ), n AS (
        INSERT INTO number_index (key, parameter, low, high, unit, code, text)
        SELECT {{key}}, u.* FROM unnest({{np}}, {{nl}}, {{nh}}, {{nu}}, {{nc}}, {{nt}}) u ON CONFLICT DO NOTHING
    ), gone_links AS (
        DELETE FROM reference_index WHERE key = {{key}} AND (parameter, target) NOT IN (
            SELECT * FROM unnest({{lp}}, {{lt}}))
    ), l AS (
        INSERT INTO reference_index (key, parameter, target)
        SELECT {{key}}, u.* FROM unnest({{lp}}, {{lt}}) u ON CONFLICT DO NOTHING
    ), found AS ({TARGETS})
"""
_WITNESSES = ", ".join(f"'{name}'" for name in sorted(WITNESSES))
#: What refers to itself is no hindrance. OFFSET: what is asked says nothing of how much will be found.
_UNREFERENCED = (
    f"NOT EXISTS (SELECT FROM ({REFERRING.format(wanted='(SELECT {place} OFFSET 0)', tenant='{tenant}')}) AS referring "
    f"WHERE (type, id) <> ({{type}}, {{id}}) AND type NOT IN ({_WITNESSES}))"
)
_DELETE_ONE = f"""{_KEEP}
    changed AS (
        UPDATE resource SET vid = {{vid}}, method = {{method}}, updated = {{updated}}, date_low = NULL,
            date_high = NULL, presence = 0, data_key = {{data_key}}, sealed = NULL, tokens = NULL, written = DEFAULT
        WHERE key = {{key}} AND tenant = {{tenant}} AND type = {{type}} AND id = {{id}}
    ), gone_dates AS (
        DELETE FROM date_index WHERE key = {{key}}
    ), gone_numbers AS (
        DELETE FROM number_index WHERE key = {{key}}
    ), gone_links AS (
        DELETE FROM reference_index WHERE key = {{key}}
    )
"""
_DELETION = {"key": "int8", "place": "int8", **_OF_DELETION, **_PAST}
_HOLD, _STORE, _DELETE = "hie_hold_one", "hie_change_one", "hie_delete_one"
#: The row, then targets, then, of a deletion, whoever would refer to it: in the order of the way in steps. What is
#: selected is worked out one after the other, when the row was locked.
_PREPARE_HOLD = (
    f"PREPARE {_HOLD} (int8, int4, int8[], int8) AS SELECT 1 / count(*), "
    "(SELECT count(pg_advisory_xact_lock_shared(number)) FROM unnest($3) AS number), pg_advisory_xact_lock($4) "
    "FROM (SELECT FROM resource WHERE key = $1 AND vid = $2 FOR UPDATE) AS held"
)


@dataclass(frozen=True, slots=True)
class ChangedResource:
    """The message that stores the next version of a resource, or its deletion (hie.store.database.Message)."""

    tenant: int
    written: Written
    row: Current
    """What it replaces."""
    targets: Sequence[Target]
    """What it refers to outside, all of which must be there."""
    locks: Sequence[int]
    version: int
    """Of the custom search parameters that its index rows were made with."""
    keys: Sequence[NewKey]
    """Data keys that it brings."""
    freed: tuple[int, int] | None
    """Of a deletion: the lock of whoever would refer to it, and the place under which references to it are found."""

    statements: ClassVar[dict[str, str]] = {
        PLAN: PREPARE_PLAN,
        _HOLD: _PREPARE_HOLD,
        _STORE: prepared(_STORE, {"key": "int8", **ONE, **_PAST}, _CHANGE_ONE),
        _DELETE: prepared(_DELETE, _DELETION, _DELETE_ONE, _UNREFERENCED),
        STORE_KEY: PREPARE_KEY,
    }
    refused: ClassVar[str] = REFUSED

    def text(self, record: dict[str, Any]) -> str:
        """Return the text with the row of the audit record.

        Each statement sees what was committed before it began, so the row is locked by one of its own: the transaction
        has its number from then on, and what indexed the resource anew meanwhile is seen, or what came to refer to it.
        """
        lock, place = self.freed or (None, None)
        ending = (self.version, *(record[name] for name in AUDIT))
        new = one_values(self.tenant, self.written, self.targets)
        if self.written.sealed is None:
            of_deletion = [new[name] for name in _OF_DELETION]
            stored = execute(_DELETE, [self.row.key, place, *of_deletion, *self._past(), *ending])
        else:
            stored = execute(_STORE, [self.row.key, *new.values(), *self._past(), *ending])
        hold = execute(_HOLD, (self.row.key, self.row.vid, list(self.locks), lock))
        return "; ".join([f"EXECUTE {PLAN}", hold, *key_statements(self.keys), stored])

    def _past(self) -> list[Any]:
        past: IndexRows | None = self.written.past_index
        assert past is not None  # noqa: S101 - whoever replaces a version says what was found by it
        return [past.date_low, past.date_high, past.presence, past.tokens, *columns(3, past.dates),
                *columns(6, past.numbers)]  # fmt: skip
