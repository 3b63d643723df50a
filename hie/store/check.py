"""`hie check`: does everything in the store open, agree and hang together?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from hie.errors import IntegrityFailure
from hie.store import audit as audit_trail
from hie.store import bulk_files, by_key, contained_check, jobs, kept_answers, past_check, reference_targets
from hie.store.contained import Holder
from hie.store.crypto import SealBroken, associated_data, open_
from hie.store.integrity import literal_targets
from hie.store.lacking_tokens import lacking
from hie.store.models import (
    FOREVER,
    date_index,
    job,
    number_index,
    reference_index,
    resource,
    resource_history,
    token,
)
from hie.store.opening import open_versions, parsed
from hie.store.search.index import IndexRows, index_rows, moving_rows
from hie.store.store import Store
from hie.store.tenants import Tenant

BATCH = 500


@dataclass(slots=True)
class CheckReport:
    """What was looked at, and a sentence for each thing that is wrong."""

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.problems


def check(store: Store) -> CheckReport:
    """Read the whole store and compare each row with what it should be; all of it at one state, as others may write."""
    store.database.settle_records()
    connection = store.database.connection()
    connection.exec_driver_sql(_BEGIN[connection.dialect.name])
    try:
        return _checked(store, connection)
    finally:
        connection.exec_driver_sql("COMMIT")


_BEGIN = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}


def _checked(store: Store, connection: Connection) -> CheckReport:
    report = CheckReport()
    for tenant in store.tenants.values():
        tenant.parameters.expire()
        tenant.parameters.fresh(store.database.connection, tenant)
        report.problems += _resources(connection, tenant, report, store.base_url)
        report.problems += _history(connection, tenant, report)
        report.problems += past_check.problems(connection, tenant, store.base_url)
        report.problems += _jobs(connection, tenant, report)
        report.problems += _async_requests(connection, tenant)
    report.problems += _surplus_tokens(connection, report)
    report.problems += _orphans(connection)
    report.problems += contained_check.strangers(connection)
    report.problems += _strangers(connection, store.tenants)
    report.counts["audit records"] = _size(connection, audit_trail.audit)
    keys = {number: tenant.audit_keys for number, tenant in store.tenants.items()}
    report.problems += audit_trail.verify(connection, keys)
    return report


def _batches(connection: Connection, tenant: Tenant) -> Iterator[list[Any]]:
    last = 0
    while True:
        statement = (
            select(resource)
            .where(*by_key.after(tenant.id, last))
            .order_by(resource.c.key)
            .limit(BATCH)
        )
        batch = list(connection.execute(statement))
        if not batch:
            return
        yield batch
        last = batch[-1].key


def _resources(connection: Connection, tenant: Tenant, report: CheckReport, base_url: str) -> Iterator[str]:
    report.counts.update({"resources": 0, "deleted resources": 0, "tokens": 0})
    for batch in _batches(connection, tenant):
        indexed = _Indexed.read(connection, [row.key for row in batch])
        targets: dict[tuple[str, str], str] = {}
        holders, skipped = [], []
        needed: dict[int, set[int]] = {}
        for row in batch:
            report.counts["resources" if row.sealed is not None else "deleted resources"] += 1
            name = f"{row.type}/{row.id}"
            try:
                (version,) = open_versions(connection, tenant, [row])
            except IntegrityFailure as error:
                yield str(error)
                skipped.append(row.key)
                continue
            index, moving = IndexRows([], [], [], 0, None, None), None
            if version.content is not None:
                content = parsed(version)
                moving = moving_rows(content, tenant.blind, base_url)
                index = index_rows(content, tenant.blind, base_url, content_words=tenant.content_words)
                targets.update((target, name) for target in literal_targets(index.refers))
                yield from _meta(name, content, row)
            its = index.contained
            holders.append(Holder(row.key, row.vid, tenant.id, row.updated, FOREVER, its, row.written))
            needed[row.key] = set(index.tokens) if moving is None else set(index.tokens).difference(moving.tokens)
            report.counts["tokens"] += len(index.tokens if moving is None else {*index.tokens, *moving.tokens})
            yield from indexed.compare(name, row, index, moving)
        names = {row.key: f"{row.type}/{row.id}" for row in batch}
        for key in _lacking(connection, needed):
            yield f"The token index of {names[key]} does not match its content."
        keys = list(names)
        yield from contained_check.problems(connection, keys, holders, is_past=False, skipped=skipped)
        if not (tenant.enforces_on_write and tenant.enforces_on_delete):
            continue  # references may lead to nothing
        missing = set(targets) - reference_targets.live(connection, tenant.id, list(targets))
        for target in sorted(missing):
            if targets[target].partition("/")[0] not in reference_targets.WITNESSES:
                yield f"{targets[target]} refers to {'/'.join(target)}, which does not exist."


def _meta(name: str, content: dict[str, Any], row: Any) -> Iterator[str]:
    if content.get("resourceType") != row.type or content.get("id") != row.id:
        yield f"{name} holds the content of {content.get('resourceType')}/{content.get('id')}."
    if content.get("meta", {}).get("versionId") != str(row.vid):
        yield f"{name} is at version {row.vid}, but its content says {content.get('meta', {}).get('versionId')}."


@dataclass(frozen=True, slots=True)
class _Indexed:
    """The index rows of a batch of resources as they stand in the database."""

    tokens: dict[int, set[int]] | None  # None: SQLite, where they are looked up one by one
    dates: dict[int, set[tuple[Any, ...]]]
    numbers: dict[int, set[tuple[Any, ...]]]
    links: dict[int, set[tuple[Any, ...]]]

    @classmethod
    def read(cls, connection: Connection, keys: list[int]) -> _Indexed:
        tokens: dict[int, set[int]] | None = None
        dates: dict[int, set[tuple[Any, ...]]] = {key: set() for key in keys}
        numbers: dict[int, set[tuple[Any, ...]]] = {key: set() for key in keys}
        links: dict[int, set[tuple[Any, ...]]] = {key: set() for key in keys}
        if connection.dialect.name == "postgresql":
            statement = select(resource.c.key, resource.c.tokens).where(resource.c.key.in_(keys))
            tokens = {key: set(found or []) for key, found in connection.execute(statement)}
        for row in connection.execute(select(date_index).where(date_index.c.key.in_(keys))):
            dates[row.key].add(tuple(row)[1:])
        for row in connection.execute(select(number_index).where(number_index.c.key.in_(keys))):
            numbers[row.key].add(tuple(row)[1:])
        for row in connection.execute(select(reference_index).where(reference_index.c.key.in_(keys))):
            links[row.key].add(tuple(row)[1:])
        return cls(tokens, dates, numbers, links)

    def compare(self, name: str, row: Any, index: IndexRows, moving: IndexRows | None) -> Iterator[str]:
        """`moving`: what may be there or not, as search parameters come or go."""
        tokens = set(index.tokens) if self.tokens is None else self.tokens[row.key]
        found = (
            tokens, self.dates[row.key], self.numbers[row.key], self.links[row.key],
            (row.presence, row.date_low, row.date_high),
        )  # fmt: skip
        wanted = (
            set(index.tokens), {tuple(r) for r in index.dates}, {tuple(r) for r in index.numbers}, set(index.links),
            (index.presence, index.date_low, index.date_high),
        )  # fmt: skip
        for kind, is_, should in zip(("token", "date", "number", "reference", "presence"), found, wanted, strict=True):
            may = _SETS[kind](moving) if moving is not None and kind in _SETS else frozenset()
            if is_ != should and not _differs_by(is_, should, may):
                yield f"The {kind} index of {name} does not match its content."


def _differs_by(is_: Any, should: Any, may: frozenset[Any]) -> bool:
    """Tell whether two sets differ by nothing but members that may be there or not."""
    return bool(may) and should - may <= is_ <= should | may


_SETS: dict[str, Callable[[IndexRows], frozenset[Any]]] = {
    "token": lambda rows_: frozenset(rows_.tokens),
    "date": lambda rows_: frozenset(tuple(row) for row in rows_.dates),
    "number": lambda rows_: frozenset(tuple(row) for row in rows_.numbers),
    "reference": lambda rows_: frozenset(rows_.links),
}


def _lacking(connection: Connection, needed: dict[int, set[int]]) -> list[int]:
    """SQLite: return the keys of resources that lack a token."""
    if connection.dialect.name != "sqlite":
        return []
    wanted = ((hash_, key) for key, hashes in needed.items() for hash_ in hashes)
    return sorted({key for _, key in lacking(connection, token, wanted)})


def _surplus_tokens(connection: Connection, report: CheckReport) -> Iterator[str]:
    """SQLite: every wanted token was looked up, so any further row is one too many."""
    if connection.dialect.name == "sqlite" and (rows_ := _size(connection, token)) > report.counts["tokens"]:
        yield f"The token index holds {rows_ - report.counts['tokens']} rows that no content asks for."


def _size(connection: Connection, table: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _history(connection: Connection, tenant: Tenant, report: CheckReport) -> Iterator[str]:
    table = resource_history.c
    report.counts["superseded versions"] = 0
    position = ("", "", 0)
    while True:
        after = (table.type > position[0]) | (
            (table.type == position[0])
            & ((table.id > position[1]) | ((table.id == position[1]) & (table.vid > position[2])))
        )
        statement = (
            select(resource_history)
            .where(table.tenant == tenant.id, after)
            .order_by(table.type, table.id, table.vid)
            .limit(BATCH)
        )
        batch = list(connection.execute(statement))
        if not batch:
            break
        for row in batch:
            report.counts["superseded versions"] += 1
            try:
                open_versions(connection, tenant, [row])
            except IntegrityFailure as error:
                yield str(error)
        position = (batch[-1].type, batch[-1].id, batch[-1].vid)
    yield from _gaps(connection, tenant)


def _gaps(connection: Connection, tenant: Tenant) -> Iterator[str]:
    """Every version below the current one must be in the history."""
    table = resource_history.c
    older = (
        select(table.type, table.id, func.count().label("n"), func.max(table.vid).label("last"))
        .where(table.tenant == tenant.id)
        .group_by(table.type, table.id)
        .subquery()
    )
    statement = (
        select(resource.c.type, resource.c.id, resource.c.vid, older.c.n)
        .outerjoin(older, (older.c.type == resource.c.type) & (older.c.id == resource.c.id))
        .where(resource.c.tenant == tenant.id, func.coalesce(older.c.n, 0) != resource.c.vid - 1)
    )
    for row in connection.execute(statement):
        yield f"{row.type}/{row.id} is at version {row.vid}, but {row.n or 0} older versions are kept."


def _jobs(connection: Connection, tenant: Tenant, report: CheckReport) -> Iterator[str]:
    report.counts["jobs"] = 0
    for row in connection.execute(select(job).where(job.c.tenant == tenant.id)):
        report.counts["jobs"] += 1
        if row.state not in jobs.STATES:
            yield f"Job {row.id} is in the unknown state {row.state!r}."
        try:
            open_(tenant.job_cipher, bytes(row.payload), associated_data("job", tenant.id, row.kind))
        except SealBroken:
            yield f"The payload of job {row.id} does not open."


def _async_requests(connection: Connection, tenant: Tenant) -> Iterator[str]:
    """Requests that are answered later, and their answers, must open."""
    for row in kept_answers.each(connection, tenant):
        for what in ("request", "result"):
            try:
                kept_answers.opened(tenant, what, row, getattr(row, what))
            except IntegrityFailure:
                yield f"The {what} of the asynchronous request {row.id} does not open."
    for row in bulk_files.each(connection, tenant):
        try:
            bulk_files.opened(tenant, row.request, row)
        except IntegrityFailure:
            yield f"File {row.number} of the asynchronous request {row.request} does not open."


def _orphans(connection: Connection) -> Iterator[str]:
    tables = [date_index, number_index, reference_index] + ([token] if connection.dialect.name == "sqlite" else [])
    for table in tables:
        lonely = select(func.count()).select_from(table).where(
            ~select(resource.c.key).where(resource.c.key == table.c.key, resource.c.sealed.is_not(None)).exists()
        )
        number = connection.execute(lonely).scalar_one()
        if number:
            yield f"{number} rows of {table.name} belong to no live resource."


def _strangers(connection: Connection, tenants: dict[int, Tenant]) -> Iterator[str]:
    for table in (resource, resource_history, job):
        statement = select(func.count()).where(table.c.tenant.not_in(list(tenants)))
        number = connection.execute(statement).scalar_one()
        if number:
            yield f"{number} rows of {table.name} belong to no known tenant."
