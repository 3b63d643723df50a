"""The statements that a message executes (hie.store.at_once), as the texts that prepare each once for a connection.

Each connection plans each statement once. PostgreSQL would plan those with lists anew at each execution, which takes
about as long as executing them: it expects ten rows of a list that it does not know, and so less of a plan for known
ones. Every row is looked for by its key, so there is nothing that another plan could do better; nor may one that was
made for a small store, which is read quicker whole, be kept while the store grows.
https://www.postgresql.org/docs/current/runtime-config-query.html

What has no rows in some table, and refers to nothing, is written by statements that say nothing of these: to begin and
to end a part of a statement takes as long as to write a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from hie.store.change_at_once import DELETED_ONE, UNREFERENCED, change, delete, types_changed
from hie.store.contained_at_once import END, ENDED, KEEP, KEPT
from hie.store.jobs import NEW
from hie.store.locks import LOCKING
from hie.store.models import audit, data_key
from hie.store.reference_targets import CARRYING
from hie.store.rows import TARGETS, store_also, store_one, types_of
from hie.store.search.kinds import Kinds

#: The SQLSTATE of a statement that refuses what it met: division_by_zero.
REFUSED = "22012"
AUDIT = {
    "stream": "text", "seq": "int8", "tenant": "int4", "at": "int8", "client": "text", "interaction": "text",
    "status": "int2", "entity": "int8", "patient": "int8", "sealed": "bytea", "mac": "bytea",
}  # fmt: skip
assert list(AUDIT) == list(audit.c.keys())  # noqa: S101 - a column that is added there belongs here
KEY = {"id": "int8", "tenant": "int4", "owner": "text", "wrapped": "bytea", "kek": "int4", "created": "int8"}
assert list(KEY) == list(data_key.c.keys())  # noqa: S101 - likewise


def _numbered(types: Iterable[str]) -> dict[str, str]:
    return {name: f"${number}" for number, name in enumerate(types, 1)}


def _prepare(name: str, types: Mapping[str, str], text: str) -> str:
    """Return the text that prepares a statement of `text`, where {name} stands for what it takes."""
    return f"PREPARE {name} ({', '.join(types.values())}) AS {text.format(**_numbered(types))}"


def _prepare_last(name: str, types: Mapping[str, str], text: str, condition: str) -> str:
    """Do so for the last of those that write: it keeps the audit record, and refuses what must not be committed."""
    record = ", ".join(f"{{{column}_}}" for column in AUDIT)
    end = (
        f", record AS (INSERT INTO audit ({', '.join(AUDIT)}) VALUES ({record}))"
        f" SELECT 1 / CASE WHEN {condition}"
        " AND coalesce((SELECT number FROM custom_version WHERE tenant = {tenant}), 0) = {version}"
        " THEN 1 ELSE 0 END"
    )
    of_record = {f"{column}_": type_ for column, type_ in AUDIT.items()}
    return _prepare(name, {**types, "version": "int8", **of_record}, text + end)


#: Until the transaction ends, for the statements behind the one that says so.
_ONE_PLAN = (
    "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)"
)
PLAN, BEGIN, HOLD = "hie_plan", "hie_begin", "hie_hold"
_PREPARE_PLAN = f"PREPARE {PLAN} AS {_ONE_PLAN}"
#: It takes shared locks in the order in which they are given.
_PREPARE_BEGIN = (
    f"PREPARE {BEGIN} (int8[]) AS {_ONE_PLAN}, pg_current_xact_id(), "
    "(SELECT count(pg_advisory_xact_lock_shared(number)) FROM unnest($1) AS number)"
)
#: Rows by key, version, its time and presence bits, then locks: in the order in which they are given. What is selected
#: is worked out one after the other, when the rows were locked. The time tells a version from one of the same number
#: that was lost: by a server that took over without the last commits, or was set back.
_PREPARE_HOLD = (
    f"PREPARE {HOLD} (int8[], int4[], int8[], int8[], int8[], bool[]) AS "
    "SELECT 1 / CASE WHEN count(*) = cardinality($1) THEN 1 ELSE 0 END, pg_current_xact_id(), "
    "(SELECT count(CASE WHEN alone THEN pg_advisory_xact_lock(number) ELSE pg_advisory_xact_lock_shared(number) END) "
    "FROM unnest($5, $6) AS lock (number, alone)) "
    "FROM (SELECT FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS read (key, vid, updated, presence, place) "
    "JOIN resource ON resource.key = read.key AND resource.vid = read.vid AND resource.updated = read.updated "
    "AND resource.presence = read.presence "
    "ORDER BY read.place FOR UPDATE OF resource) AS held"
)
LOCK, NONE_CAME = "hie_lock", "hie_none_came"
_PREPARE_LOCK = f"PREPARE {LOCK} (int8[], bool[]) AS {LOCKING.format('$1, $2')}"
_PREPARE_NONE_CAME = (
    f"PREPARE {NONE_CAME} (int8[], int4, text[], text[]) AS SELECT 1 / CASE WHEN EXISTS (SELECT FROM ("
    f"{CARRYING.format(wanted='unnest($1)', tenant='$2')}) AS carrying "
    "WHERE (type, id) NOT IN (SELECT * FROM unnest($3, $4))) THEN 0 ELSE 1 END"
)
STORE_KEY = "hie_store_key"
#: A neighbour who made the patient's key first makes this one fail, and the transaction run again.
_PREPARE_KEY = _prepare(
    STORE_KEY, KEY, f"INSERT INTO data_key ({', '.join(KEY)}) VALUES ({', '.join(f'{{{name}}}' for name in KEY)})"
)
ADD_JOB = "hie_add_job"
_PREPARE_JOB = _prepare(
    ADD_JOB, NEW, f"INSERT INTO job ({', '.join(NEW)}) VALUES ({', '.join(f'{{{name}}}' for name in NEW)})"
)
SEE_UNREFERENCED, END_CONTAINED, KEEP_CONTAINED = "hie_unreferenced", "hie_end_contained", "hie_keep_contained"
#: What refers to itself is no hindrance. OFFSET: what is asked says nothing of how much will be found.
_NOT_BY_OTHERS = UNREFERENCED.format(wanted="(SELECT {place} OFFSET 0)", tenant="{tenant}") + (
    " WHERE (type, id) <> ({type}, {id})"
)
_PREPARE_UNREFERENCED = (
    f"PREPARE {SEE_UNREFERENCED} (int8[], int4) AS SELECT 1 / CASE WHEN "
    f"NOT EXISTS ({UNREFERENCED.format(wanted='unnest($1)', tenant='$2')}) THEN 1 ELSE 0 END"
)


def named(verb: str, kinds: Kinds, *, refers: bool = False) -> str:
    """Return the name of the statement for a resource with index rows of some kinds, and with references outside."""
    return f"hie_{verb}{'_dates' * kinds.dates}{'_numbers' * kinds.numbers}{'_refers' * refers}"


def _last(kinds: Kinds, refers: bool) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each statement that writes such a resource, and with it the audit record."""
    found = f", found AS ({TARGETS})" if refers else ""
    condition = "(SELECT every(there) IS NOT FALSE FROM found)" if refers else "TRUE"
    name = named("store", kinds, refers=refers)
    yield name, _prepare_last(name, types_of(kinds, refers=refers), store_one(kinds) + found, condition)
    name = named("change", kinds, refers=refers)
    yield name, _prepare_last(name, types_changed(kinds, refers=refers), change(kinds) + found, condition)
    name = named("delete", kinds)
    yield name, _prepare_last(name, DELETED_ONE, delete(kinds), f"NOT EXISTS ({_NOT_BY_OTHERS})")


def _also(kinds: Kinds) -> Iterator[tuple[str, str]]:
    """Yield those for one of several, all but the last."""
    name = named("store_also", kinds)
    yield name, _prepare(name, types_of(kinds), store_also(kinds))
    name = named("change_also", kinds)
    yield name, _prepare(name, types_changed(kinds), f"{change(kinds)} SELECT")
    name = named("delete_also", kinds)
    yield name, _prepare(name, DELETED_ONE, f"{delete(kinds)} SELECT")


_BOTH = False, True
#: By their names.
WRITING = {
    name: text
    for dates, numbers in product(_BOTH, _BOTH)
    for found in (_also(Kinds(dates, numbers)), *(_last(Kinds(dates, numbers), refers) for refers in _BOTH))
    for name, text in found
}
#: What any message may execute, and what those of several resources, or with jobs or contained ones, may beside.
OF_ALL = {
    PLAN: _PREPARE_PLAN, BEGIN: _PREPARE_BEGIN, HOLD: _PREPARE_HOLD, LOCK: _PREPARE_LOCK,
    NONE_CAME: _PREPARE_NONE_CAME, STORE_KEY: _PREPARE_KEY,
}  # fmt: skip
OF_MORE = {
    SEE_UNREFERENCED: _PREPARE_UNREFERENCED, END_CONTAINED: _prepare(END_CONTAINED, ENDED, END),
    KEEP_CONTAINED: _prepare(KEEP_CONTAINED, KEPT, KEEP), ADD_JOB: _PREPARE_JOB,
}  # fmt: skip
