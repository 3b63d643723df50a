"""What making, changing and deleting a resource takes: what was there, the grant, versions, what it is found by.

Interactions call these by ResourceStore, in an open transaction; what is written the unit of work buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hie.errors import Conflict, Forbidden, Gone, NotFound, PreconditionFailed
from hie.fhir import binary, json_format, meta, operation_definitions
from hie.fhir.conditions import IfMatch, WantedVersions, etag
from hie.fhir.scopes import BINARY
from hie.store import erasure, kept_answers, rows
from hie.store.conflicts import Again
from hie.store.ids import new_id
from hie.store.models import DELETED, REVIVED, UPDATED
from hie.store.opening import open_versions, parsed
from hie.store.search import grants, proxies, scope_conditions
from hie.store.search.index import IndexRows, index_rows, moving_rows
from hie.store.versions import StoredVersion, served

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore
    from hie.store.unit_of_work import UnitOfWork

EMPTY_INDEX = IndexRows([], [], [], 0, None, None)
#: In every JSON of a resource that contains another.
_CONTAINS = b'"contained"'


@dataclass(frozen=True, slots=True)
class Draft:
    """A new resource that is ready to be stored: its first version, its JSON as it is served, what it is found by."""

    version: StoredVersion
    resource: dict[str, Any]
    index: IndexRows


def draft(
    store: ResourceStore, unit: UnitOfWork, type: str, id: str, content: dict[str, Any], method: int, letter: str,
    said: set[str] | None,
) -> Draft:
    """Return a new resource as it will be stored; Forbidden where the grant for `letter` does not cover it.

    `said`: the texts of all its references, where they are known.
    """
    operation_definitions.refuse_to_store(type, id)
    now = unit.now
    resource_ = served(content, id, 1, now)
    dumped = json_format.dump(resource_)
    index = index_of(store, resource_, dumped, is_new=True, said=said)
    _permit(store, type, letter, index)
    return Draft(StoredVersion(type, id, 1, method, now, dumped, came_into_being=True), resource_, index)


def permit_new(store: ResourceStore, content: dict[str, Any], letter: str) -> None:
    """Permit a resource that is about to be stored by somebody else's hand, or Forbidden."""
    if store.grant.queries(content["resourceType"], letter) is not None:
        resource_ = served(content, new_id(), 1, store.clock())
        _permit(store, content["resourceType"], letter, index_of(store, resource_, is_new=True))


def write(store: ResourceStore, unit: UnitOfWork, draft: Draft) -> StoredVersion:
    """Store a new resource."""
    version = draft.version
    _note_references(store, unit, f"{version.type}/{version.id}", draft.index, EMPTY_INDEX)
    unit.write(version, draft.resource, draft.index, None, None)
    return version


def update(
    store: ResourceStore, unit: UnitOfWork, type: str, id: str, content: dict[str, Any], if_match: IfMatch | None,
    only_new: bool, method: int, keeping: Sequence[str], keeps_labels: bool,
) -> StoredVersion:
    """Store the next version, or the first where there was none; one that changes nothing is not stored.

    `only_new`: only where there is none. `method` is what its history tells of it, unless it brings to life what
    was deleted. `keeping`: elements that stay as they were where the content has none; `keeps_labels`: so do tags and
    security labels.
    """
    _permit(store, type, "u", None)
    row = unit.to_change(type, id)
    if row is None:
        check_version(type, id, if_match, row)
        return write(store, unit, draft(store, unit, type, id, content, UPDATED, "u", None))
    before = open_versions(unit.unflushed, store.keys, [row], unit.met_keys)[0]
    before_index = past_index = EMPTY_INDEX
    if before.content is not None:
        before_index, past_index = _index_before(store, before, "u")
        _permit_stored(store, unit, before, "u", before_index)  # before the version is told
    if not _names_deletion(store, type, if_match, row):
        check_version(type, id, if_match, row)
    if only_new and before.content is not None:
        raise PreconditionFailed(f"If-None-Match: * asks that {type}/{id} is not there, and it is at version "
                                 f"{row.vid}.", expression="http.If-None-Match")
    if keeping and before.content is not None:
        old = parsed(before)
        content = content | {name: old[name] for name in keeping if name in old and name not in content}
    if keeps_labels and is_labelled(before):
        content = meta.labelled_as(content, parsed(before))
    if before.content is not None and json_format.dump(served(content, id, row.vid, row.updated)) == before.content:
        return before
    now = max(unit.now, row.updated + 1000)
    resource_ = served(content, id, row.vid + 1, now)
    dumped, new = json_format.dump(resource_), before.content is None
    index = index_of(store, resource_, dumped, is_new=True)
    _permit(store, type, "u", index)
    _note_references(store, unit, f"{type}/{id}", index, before_index)
    version = StoredVersion(type, id, row.vid + 1, REVIVED if new else method, now, dumped, came_into_being=new)
    unit.write(version, resource_, index, row, before_index, past_index)
    return version


def is_labelled(version: StoredVersion) -> bool:
    """Tell whether a version may have tags or security labels."""
    content = version.content or b""
    return b'"security":[' in content or b'"tag":[' in content


def read_to_change(
    store: ResourceStore, unit: UnitOfWork, type: str, id: str, if_match: IfMatch | None
) -> StoredVersion:
    """Return the current version; nobody else changes it until the transaction ends. NotFound, Gone, Forbidden."""
    row = unit.to_change(type, id)
    if row is None or grants.clause(store, type, "r") is not None:
        version = store.read(type, id)
        if row is None or version.vid != row.vid:  # which was read before
            raise Again(f"{type}/{id} was changed meanwhile.")
    else:
        version = live(open_versions(unit.unflushed, store.keys, [row], unit.met_keys)[0])
    check_version(type, id, if_match, row)
    return version


def delete(
    store: ResourceStore, unit: UnitOfWork, type: str, id: str, if_match: IfMatch | None
) -> StoredVersion | None:
    """Store the deletion as a version of its own; None where there is nothing to delete."""
    _permit(store, type, "d", None)
    row = unit.to_change(type, id)
    if row is None or row.sealed is None:
        check_version(type, id, if_match, row)
        return None
    before = open_versions(unit.unflushed, store.keys, [row], unit.met_keys)[0]
    before_index, past_index = _index_before(store, before, "d")
    _permit_stored(store, unit, before, "d", before_index)  # before the version is told
    check_version(type, id, if_match, row)
    version = StoredVersion(type, id, row.vid + 1, DELETED, max(unit.now, row.updated + 1000), None)
    unit.write(version, None, EMPTY_INDEX, row, before_index, past_index)
    return version


def erase_history(store: ResourceStore, unit: UnitOfWork, type: str, id: str, vid: int | None) -> int:
    """Erase the superseded versions, or one of them; tell how many. NotFound, Forbidden, Conflict."""
    row = rows.current(unit.writing(), store.tenant, type, id, lock=True)
    _permit(store, type, "d", None)
    if row is None:
        raise NotFound(f"{type}/{id} is not known here.", expression=type)
    if row.sealed is not None:
        (current,) = store.open([row])
        _permit_stored(store, unit, current, "d", index_of(store, parsed(current)))
    elif not store.grant.covers_all(type, "d"):
        raise Forbidden(f"The token's scopes for {type}.d cannot be judged on a resource that was deleted.")
    if vid == row.vid:
        raise Conflict(f"Version {vid} of {type}/{id} is the current one; only superseded versions are erased.",
                       expression=type)
    erased = erasure.erase(unit.writing(), store.keys, store.base_url, type, id, vid)
    if vid is not None and not erased:
        raise NotFound(f"{type}/{id} has no version {vid}.", expression=type)
    if erased:
        kept_answers.erase(unit.writing(), store.keys, id)
    unit.touched[(type, id)] = None
    return erased


def _is_moved_unseen(store: ResourceStore, version: StoredVersion, letter: str) -> bool:
    """Tell whether nobody asks what a version is found by: PostgreSQL has that (hie.store.past)."""
    if store.database.dialect != "postgresql" or _CONTAINS in (version.content or b""):
        return False
    return store.grant.is_whole and store.grant.queries(version.type, letter) is None


def _index_before(store: ResourceStore, version: StoredVersion, letter: str) -> tuple[IndexRows, IndexRows]:
    """Return what may stand in the index, also what parameters left that are being removed; and what is kept."""
    if _is_moved_unseen(store, version, letter):
        return EMPTY_INDEX, EMPTY_INDEX
    if store.grant.is_whole:  # else what it referred to is asked for, which is not remembered
        words, stored = store.keys.content_words, version.content or b"{}"
        known = store.keys.indexed.take(version.type, stored, store.base_url, words=words)
        if known is not None:
            return known, known
    content = parsed(version)
    index, moving = index_of(store, content), moving_rows(content, store.blind, store.base_url)
    past_index = index
    if moving is not None:
        index = replace(index, tokens=sorted({*index.tokens, *moving.tokens}))
    return index, past_index


def index_of(
    store: ResourceStore, content: dict[str, Any], dumped: bytes = b"", *, is_new: bool = False,
    said: set[str] | None = None,
) -> IndexRows:
    """Return what a resource is found by."""
    words = store.keys.content_words
    return index_rows(
        content, store.blind, store.base_url, content_words=words, dumped=dumped, is_new=is_new, said=said)


def _permit(store: ResourceStore, type_name: str, letter: str, index: IndexRows | None) -> None:
    queries = store.grant.queries(type_name, letter)
    if queries is None:
        return
    if not queries:
        raise Forbidden(f"The token has no scope for this: system/{type_name}.{letter} is needed.")
    if index is not None and not scope_conditions.matches(store.blind, type_name, index, queries):
        raise _not_covered(type_name, letter)


def _permit_stored(
    store: ResourceStore, unit: UnitOfWork, version: StoredVersion, letter: str, index: IndexRows
) -> None:
    """Permit that something is changed, or Forbidden; a Binary also by what its securityContext names.

    What this transaction has changed or deleted the token had met.
    """
    _permit(store, version.type, letter, index)
    if version.type == BINARY and not proxies.shows_context(store, letter, index):
        type_name, _, id_ = (binary.security_context(parsed(version), store.base_url) or "").partition("/")
        if (type_name, id_) not in unit.touched:
            raise _not_covered(version.type, letter)


def _note_references(store: ResourceStore, unit: UnitOfWork, place: str, index: IndexRows, before: IndexRows) -> None:
    if index.refers and not store.grant.is_whole:
        new = unit.new_references
        texts = index.refers - before.refers
        for text in texts:
            new.setdefault(text, place)
        if place.startswith(f"{BINARY}/"):
            unit.new_contexts.update(texts)


def _not_covered(type_name: str, letter: str) -> Forbidden:
    return Forbidden(f"The token's scopes for {type_name}.{letter} do not cover this resource.")


def check_version(type_name: str, id_: str, if_match: IfMatch | None, row: rows.Current | None) -> None:
    """Refuse what If-Match names where it is not the version of the row; `row` None: there is none."""
    found = None if row is None or row.sealed is None else row.vid
    wanted = WantedVersions(frozenset((if_match,))) if isinstance(if_match, int) else if_match
    if wanted is not None and not wanted.allow(found):
        state = (
            "does not exist; leave If-Match out where it may be absent."
            if found is None
            else f"is at version {found}; read it again: its ETag is the next If-Match."
        )
        raise PreconditionFailed(f"If-Match {wanted}, but {type_name}/{id_} {state}", expression="http.If-Match")


def _names_deletion(store: ResourceStore, type_name: str, if_match: IfMatch | None, row: rows.Current) -> bool:
    """Tell whether If-Match names the version that is the deletion, to bring the resource back if nobody else has.

    Of a token with conditions it does not: these cover no deletion. https://hl7.org/fhir/R4/http.html#delete
    """
    if row.sealed is not None or not isinstance(if_match, WantedVersions) or if_match.vids is None:
        return False
    return row.vid in if_match.vids and grants.clause(store, type_name, "u") is None


def live(version: StoredVersion) -> StoredVersion:
    """Return a version that has content; Gone where it is a deletion."""
    if version.content is None:
        place = f"{version.type}/{version.id}"
        error = Gone(f"{place} was deleted; its versions are in {place}/_history.", expression=version.type)
        error.headers["ETag"] = etag(version.vid)  # by which it may be brought back: http.html#read
        raise error
    return version
