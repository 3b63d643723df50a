"""Referential integrity of one transaction: what it refers to is there, and nothing refers to what it deletes.

https://hl7.org/fhir/R4/http.html#integrity leaves it to the server, and HIE_REFERENTIAL_INTEGRITY to its operator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from hie.errors import BrokenReference, OutcomeIssue, Referenced
from hie.fhir import references
from hie.store import locks, rows
from hie.store.reference_targets import WITNESSES, Target, live, referring
from hie.store.search.index import place as hashed_place
from hie.store.tenants import Tenant

_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?", re.ASCII)


@dataclass(slots=True)
class Integrity:
    """The references of what a transaction writes, and what it deletes."""

    tenant: Tenant
    awaited: set[Target] = field(default_factory=set)
    """What a reference may only lead to where it is stored here: who asks may not see what is there already."""
    deleted: set[Target] = field(default_factory=set)
    versions: dict[tuple[str, str, str], Target] = field(default_factory=dict)
    """References to versions, and what refers to each first."""
    latest: dict[Target, frozenset[str]] | None = None
    """What each resource refers to as it was written last, where some are written several times."""
    _references: dict[Target, Target] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)  # the references that were looked at
    _live: set[Target] = field(default_factory=set)

    def wrote(self, place: Target, texts: frozenset[str]) -> None:
        """Take note of a resource and of what it refers to."""
        self._live.add(place)
        self.deleted.discard(place)
        if self.latest is None:
            self._note(place, texts)
        else:
            self.latest[place] = texts

    def settle(self) -> None:
        """Take note of what everything refers to in the end, where it was written several times."""
        latest, self.latest = self.latest or {}, None
        for place, texts in latest.items():
            self._note(place, texts)

    def _note(self, place: Target, texts: frozenset[str]) -> None:
        new = texts - self._said
        self._said |= new
        for text in new:
            literal = _literal(text)
            if literal is not None:
                target, version = literal
                self._references.setdefault(target, place)
                if version is not None and self.tenant.enforces_on_write:
                    self.versions.setdefault((*target, version), place)
            elif _CONDITIONAL.match(text):
                raise _unresolved(place, text)

    def took_away(self, place: Target) -> None:
        """Take note of a deletion."""
        if self.tenant.enforces_on_delete:
            self.deleted.add(place)
        self._live.discard(place)
        if self.latest is not None:
            self.latest.pop(place, None)

    def targets_outside(self) -> list[Target]:
        """Return what is referred to, not written here, and has to be there: what a token may not see always has to."""
        outside = [target for target in self._references if target not in self._live]
        return outside if self.tenant.enforces_on_write else [one for one in outside if one in self.awaited]

    def check(self, connection: Connection) -> None:
        """See to it that all hangs together when everything is written, and keep it so. BrokenReference, Referenced."""
        targets = self.targets_outside()
        locks.lock_targets(connection, locks.target_locks(self.tenant, targets, self.deleted))
        if targets:
            self.refuse_missing(targets, live(connection, self.tenant.id, targets))
        self._check_versions(connection)
        deleted = sorted(self.deleted)
        for target in deleted if deleted and self._refers(connection, deleted) else ():
            self._refuse_referenced(connection, *target)

    def refuse_missing(self, targets: list[Target], found: set[Target]) -> None:
        """Refuse what refers to other targets than those that were found. BrokenReference"""
        missing = [target for target in targets if target not in found or target in self.awaited]
        if missing:
            raise BrokenReference(
                "A reference leads to nothing.", issues=[self._broken(target) for target in missing][:20]
            )

    def _broken(self, target: Target) -> OutcomeIssue:
        type_name, id_ = self._references[target]
        return OutcomeIssue(
            "not-found",
            f"{type_name}/{id_} refers to {target[0]}/{target[1]}, which does not exist here (or was deleted); "
            "store the target first, or send both in one transaction.",
            type_name,
            source=f"{type_name}/{id_}",
            target=f"{target[0]}/{target[1]}",
        )

    def _check_versions(self, connection: Connection) -> None:
        """See to it that a version that is referred to has been: versions are the numbers up to the current one."""
        for (type_name, id_, version), place in self.versions.items():
            row = rows.current(connection, self.tenant.id, type_name, id_)
            last = 0 if row is None else row.vid
            if not version.isascii() or not version.isdigit() or not 1 <= int(version) <= last:
                target, source = f"{type_name}/{id_}/_history/{version}", "/".join(place)
                told = f"{source} refers to {target}, but {type_name}/{id_} has the versions 1 to {last}."
                raise BrokenReference(told, issues=[
                    OutcomeIssue("not-found", told, place[0], source=source, target=target)])

    def _refers(self, connection: Connection, targets: list[Target]) -> bool:
        """Tell by one question for all whether anything refers to one of the targets."""
        places = [hashed_place(*target, self.tenant.blind) for target in targets]
        return any(row.type not in WITNESSES for row in referring(connection, self.tenant.id, places))

    def _refuse_referenced(self, connection: Connection, type_name: str, id_: str) -> None:
        found = referring(connection, self.tenant.id, [hashed_place(type_name, id_, self.tenant.blind)])
        by = sorted({(row.type, row.id) for row in found if row.type not in WITNESSES} - {(type_name, id_)})
        if by:
            raise Referenced.of((type_name, id_), by, by[0])


def literal_targets(texts: Iterable[str]) -> Iterable[Target]:
    """Yield (type, id) of every literal reference to a resource of this server."""
    for text in texts:
        literal = _literal(text)
        if literal is not None:
            yield literal[0]


def _literal(text: str) -> tuple[Target, str | None] | None:
    """Return the (type, id) that a literal reference means here, and the version; None for any other text."""
    found = references.parse(text)
    if found.kind != "relative" or found.type is None or found.id is None or "#" in text:
        return None
    return (found.type, found.id), found.version


def _unresolved(place: Target, text: str) -> BrokenReference:
    told = f"{text[:200]!r} refers by criteria, and is stored only as what these lead to."
    issue = OutcomeIssue("not-found", told, place[0], source="/".join(place), target=text)
    return BrokenReference(told, issues=[issue])
