"""What a token may refer to: no error of a broken reference tells what its conditions hide. docs/adr/0022

https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hie.errors import BrokenReference, OutcomeIssue
from hie.fhir import references
from hie.fhir.scopes import BINARY, LETTERS, Grant, meeting
from hie.store import row_statements
from hie.store.search.grants import of_any_scope

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore
    from hie.store.unit_of_work import UnitOfWork

def judge(store: ResourceStore, unit: UnitOfWork) -> None:
    """See to it that new references to what the token's conditions do not cover are as those to nothing.

    What the transaction writes itself may be referred to, and what the same resource referred to before.
    """
    hidden: dict[tuple[str, frozenset[str]], list[str]] = {}
    for text, place in unit.new_references.items():
        found = references.parse(text)
        type_name, id_ = found.type, found.id
        if found.kind != "relative" or type_name is None or id_ is None or "#" in text:
            continue
        if (type_name, id_) in unit.touched:
            continue
        letters = _letters(store.grant, type_name, is_context=text in unit.new_contexts)
        if _may_hide(store.grant, type_name, letters):
            hidden.setdefault((type_name, letters), []).append(id_)
        elif found.version is not None and store.grant.only_creates(type_name):
            raise _unknown_version(place, text, f"{type_name}/{id_}")
    for (type_name, letters), ids in hidden.items():
        shown = _shown(store, unit, type_name, letters, ids)
        unit.integrity.awaited.update((type_name, id_) for id_ in ids if id_ not in shown)


def _letters(grant: Grant, type_name: str, *, is_context: bool) -> frozenset[str]:
    """Return the letters of scopes one of which must cover a target: any; of a securityContext, those that read.

    Who has none that reads the type, as a device that only sends, may name what any covers, or, without any, all.
    """
    reading = meeting("r")
    return reading if is_context and grant.conditions(type_name, reading) != () else frozenset(LETTERS)


def _may_hide(grant: Grant, type_name: str, letters: frozenset[str]) -> bool:
    """Tell whether something of a type is hidden; where there is no scope for it at all, that is left open."""
    conditions = grant.conditions(type_name, letters)
    return bool(conditions) or (conditions is None and type_name == BINARY and not grant.meets_all("u"))


def _shown(
    store: ResourceStore, unit: UnitOfWork, type_name: str, letters: frozenset[str], ids: Sequence[str]
) -> set[str]:
    """Return those that a scope of the token for their type covers."""
    covered = of_any_scope(store, type_name, letters)
    return row_statements.matching(store, unit.unflushed, type_name, ids, covered)


def _unknown_version(place: str, text: str, target: str) -> BrokenReference:
    """Refuse a version of what the token cannot meet: which versions there are would be told by what is taken."""
    told = (f"{place} refers to a version, {text[:200]}, and the token has no scope that tells of "
            f"{target.partition('/')[0]}: refer to {target}.")
    issue = OutcomeIssue("not-found", told, place.partition("/")[0], source=place, target=text)
    return BrokenReference(told, issues=[issue])
