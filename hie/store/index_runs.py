"""Runs that write the index rows of stored resources anew, in batches that commit alone; one that was cut off goes on.

Asked for by $reindex, and by custom search parameters that come or go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, text, update

from hie.errors import Busy, IntegrityFailure
from hie.fhir import search_parameters
from hie.store import by_key, contained, jobs, past, rows
from hie.store.conflicts import Again
from hie.store.database import Database
from hie.store.keys import MetKeys
from hie.store.models import index_run, resource
from hie.store.opening import open_versions, parsed
from hie.store.search.index import IndexRows, index_rows, moving_rows

if TYPE_CHECKING:
    from hie.store.tenants import Tenant

JOB = "reindex"
BATCH = 200
WAITING, RUNNING, DONE = "waiting", "running", "done"
#: How long a run waits for transactions that were open when it began.
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run and how far it is; `types` empty: all. `total` is counted when it begins."""

    number: int
    types: tuple[str, ...]
    state: str
    total: int | None
    done: int
    created: int
    finished: int | None


def add(
    connection: Connection, tenant: Tenant, types: Sequence[str], now: int, *, run_after: int | None = None
) -> int:
    """Add a run, and the job that does it, to the open transaction."""
    values = {
        "tenant": tenant.id, "types": json.dumps(list(types)), "state": WAITING, "after": 0, "done": 0, "created": now,
    }  # fmt: skip
    number = int(connection.execute(insert(index_run).values(values).returning(index_run.c.number)).scalar_one())
    jobs.add(connection, [jobs.new(tenant, JOB, {"run": number}, now, run_after)])
    return number


def find(connection: Connection, tenant: Tenant, number: int) -> Run | None:
    """Return one run."""
    row = connection.execute(select(index_run).where(*_here(tenant, number))).first()
    return None if row is None else _run(row)


def latest(connection: Connection, tenant: Tenant, count: int) -> list[Run]:
    """Return the last runs, the newest first."""
    newest = select(index_run).where(index_run.c.tenant == tenant.id).order_by(index_run.c.number.desc())
    return [_run(row) for row in connection.execute(newest.limit(count))]


def unfinished(connection: Connection, tenant: Tenant) -> int:
    """Count the runs that wait or are under way."""
    statement = select(func.count()).select_from(index_run)
    here = (index_run.c.tenant == tenant.id, index_run.c.state != DONE)
    return int(connection.execute(statement.where(*here)).scalar_one())


def _run(row: Any) -> Run:
    return Run(row.number, tuple(json.loads(row.types)), row.state, row.total, row.done, row.created, row.finished)


def _here(tenant: Tenant, number: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return index_run.c.tenant == tenant.id, index_run.c.number == number


# ---- doing it --------------------------------------------------------------------------------------------------------


def begin(database: Database, tenant: Tenant, run: Run) -> None:
    """Count what is to be done, and see that no write is under way that began before."""
    if database.dialect == "postgresql":
        _wait_for_writers(database)
    counted = select(func.count()).select_from(resource).where(*_wanted(tenant, run, 0))

    def unit(connection: Connection) -> None:
        values = {"state": RUNNING, "total": connection.execute(counted).scalar_one()}
        connection.execute(update(index_run).where(*_here(tenant, run.number)).values(values))

    if run.state == WAITING:
        database.write(unit)


def _wait_for_writers(database: Database) -> None:
    """Wait for writing transactions that are older than this moment; SQLite has one writer at a time."""
    started = database.connection().execute(text("SELECT clock_timestamp()")).scalar_one()
    until = time.monotonic() + _PATIENCE_SECONDS
    while database.connection().execute(_WRITERS, {"started": started}).scalar_one():
        if time.monotonic() > until:
            raise Busy("A transaction has been open for very long; the run waits for it.")
        time.sleep(0.05)


_WRITERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_xid IS NOT NULL AND xact_start < :started"
)


def batch(connection: Connection, tenant: Tenant, number: int, base_url: str) -> bool:
    """Index some resources of a run; False where none is left. Again: the custom parameters changed meanwhile."""
    known = search_parameters.installed()
    row = connection.execute(select(index_run).where(*_here(tenant, number)).with_for_update()).one()
    statement = (
        select(*_COLUMNS)
        .where(*_wanted(tenant, _run(row), row.after))
        .order_by(resource.c.key)
        .limit(BATCH)
        .with_for_update()
    )
    found = list(connection.execute(statement))
    if not found:
        return False
    _replace(connection, tenant, base_url, found)
    if search_parameters.installed() is not known:
        raise Again("Search parameters changed while resources were indexed.")
    values = {"after": found[-1].key, "done": row.done + len(found)}
    connection.execute(update(index_run).where(*_here(tenant, number)).values(values))
    return True


_COLUMNS = (
    resource.c.key, resource.c.type, resource.c.id, resource.c.vid, resource.c.method, resource.c.updated,
    resource.c.data_key, resource.c.sealed,
)  # fmt: skip


def one(connection: Connection, tenant: Tenant, type_name: str, id_: str, base_url: str) -> None:
    """Index one resource."""
    place = (resource.c.tenant == tenant.id, resource.c.type == type_name, resource.c.id == id_)
    found = list(connection.execute(select(*_COLUMNS).where(*place).with_for_update()))
    _replace(connection, tenant, base_url, found)


def finish(connection: Connection, tenant: Tenant, number: int, now: int) -> None:
    """Mark a run done."""
    connection.execute(update(index_run).where(*_here(tenant, number)).values(state=DONE, finished=now))


def _wanted(tenant: Tenant, run: Run, after: int) -> list[ColumnElement[bool]]:
    """Return the resources of a run, deleted ones too: what they were before is found as of then."""
    if not run.types:
        return [*by_key.after(tenant.id, after)]
    return [resource.c.tenant == tenant.id, resource.c.type.in_(run.types), resource.c.key > after]


def _replace(connection: Connection, tenant: Tenant, base_url: str, found: Sequence[Any]) -> None:
    indexed, gone = [], []
    met = MetKeys()
    for row in found:
        try:
            (version,) = open_versions(connection, tenant, [row], met)
        except IntegrityFailure:
            continue  # the alarm was raised; one row must not keep all others from being found
        if version.content is None:
            continue
        content = parsed(version)
        index = index_rows(content, tenant.blind, base_url, content_words=tenant.content_words)
        moving = moving_rows(content, tenant.blind, base_url)
        indexed.append((row.key, index))
        if moving is not None:
            gone += [(hash_, row.key) for hash_ in set(moving.tokens).difference(index.tokens)]
    rows.replace_index(connection, indexed, gone)
    _replace_past(connection, tenant, base_url, [row.key for row in found])


def _replace_past(connection: Connection, tenant: Tenant, base_url: str, keys: Sequence[int]) -> None:
    """Write what superseded versions are found by, so that the record as of an instant is asked by what comes."""
    surplus: list[set[int]] = []

    def index_of(content: dict[str, Any]) -> IndexRows:
        index = index_rows(content, tenant.blind, base_url, content_words=tenant.content_words)
        moving = moving_rows(content, tenant.blind, base_url)
        surplus.append(set() if moving is None else set(moving.tokens).difference(index.tokens))
        return index

    superseded = past.write_anew(connection, tenant, keys, index_of)
    contained.write_past_anew(connection, keys, superseded)
    past.take_out(connection, [
        (hash_, one.key, one.vid) for one, its in zip(superseded, surplus, strict=True) for hash_ in its
    ])
