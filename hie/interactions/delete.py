"""FHIR delete interaction, conditional too: https://hl7.org/fhir/R4/http.html#delete, #cdelete"""

from __future__ import annotations

from dataclasses import dataclass

from hie.context import Context
from hie.errors import Forbidden, InvalidRequest, MultipleMatches, PreconditionFailed
from hie.fhir import outcome
from hie.fhir.conditions import WantedVersions, refuse_if_none_match, wanted_versions
from hie.fhir.http import FhirRequest, FhirResponse
from hie.interactions import cascade, conditional
from hie.store.resources import ResourceStore
from hie.store.versions import StoredVersion
from hie.store.writes import check_version

#: Parameters of a DELETE that say how to delete, not what.
COUNT, CASCADE = "_count", "_cascade"
CASCADES = ("delete", "none")
#: So many of the deleted are named in the answer; all of them are in the audit record.
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What a DELETE asks: the criteria (None: an id is given), how many they may match, and whether to cascade."""

    type: str
    id: str | None
    criteria: tuple[tuple[str, str], ...] | None
    most: int
    cascades: bool
    if_match: WantedVersions | None


def delete(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Delete a resource, or those that match; what is not there (any more) is no error."""
    asked = _asked(request, ctx)

    def unit(store: ResourceStore) -> FhirResponse:
        inside = ctx.within(store)
        ids = _meant(asked, inside)
        if not ids:
            return _told(f"No {asked.type} matches; nothing was deleted.", None)
        stored = [_deleted(asked, id_, store) for id_ in ids]
        deleted = [f"{one.type}/{one.id}" for one in stored if one is not None]
        if not deleted:
            return _told(f"{asked.type}/{ids[0]} is not there; nothing was deleted.", (asked.type, ids[0]))
        also = cascade.delete_referring([(asked.type, id_) for id_ in ids], inside) if asked.cascades else []
        if len(deleted) == 1 and stored[0] is not None:
            answer = _told(f"{deleted[0]} was deleted; it is kept in its history.{_with(also)}", (asked.type, ids[0]))
            return FhirResponse(200, answer.content, stored[0].vid, stored[0].updated, entity=answer.entity)
        return _told(f"{len(deleted)} {asked.type} resources were deleted: {_named(deleted)}. They are kept in their "
                     f"history.{_with(also)}", None)

    return ctx.store.transact(unit)


def _deleted(asked: Asked, id_: str, store: ResourceStore) -> StoredVersion | None:
    """Delete one; what the token may neither delete nor read is not there, as a read of it says."""
    try:
        return store.delete(asked.type, id_, if_match=asked.if_match)
    except Forbidden:
        is_closed = store.grant.queries(asked.type, "d") == ()
        is_found = asked.criteria is not None or is_closed or store.grant.covers_all(asked.type, "d")
        if is_found or store.read_many([(asked.type, id_)]):
            raise
        check_version(asked.type, id_, asked.if_match, None)
        return None


def meant_ids(request: FhirRequest, ctx: Context) -> list[str]:
    """Return the ids that a DELETE means: for a transaction, which may not delete a resource twice."""
    return _meant(_asked(request, ctx), ctx)


def _asked(request: FhirRequest, ctx: Context) -> Asked:
    type_name, most = request.type or "", 1
    cascades = _cascades(request.once(CASCADE))
    if_match = wanted_versions(request.conditions)
    refuse_if_none_match(request.conditions, "deletion")
    if request.id is not None:
        return Asked(type_name, request.id, None, 1, cascades, if_match)
    count = request.once(COUNT)
    if count is not None:
        most = _count(count, ctx.settings.max_conditional_deletes)
    kept = [(name, value) for name, value in request.parameters if name not in (COUNT, CASCADE)]
    return Asked(type_name, None, conditional.checked(kept, "http.url"), most, cascades, if_match)


def _meant(asked: Asked, ctx: Context) -> list[str]:
    if asked.criteria is None:
        return [asked.id or ""]
    found = conditional.all_existing(asked.type, asked.criteria, asked.most + 1, ctx)
    if not found and asked.if_match is not None:
        raise PreconditionFailed(f"If-Match {asked.if_match}, but no {asked.type} matches.", expression="http.If-Match")
    if len(found) > 1 and asked.if_match is not None and asked.if_match.vids is not None:
        raise MultipleMatches(
            f"If-Match {asked.if_match} of one resource, but several {asked.type} match.", expression="http.If-Match"
        )
    if len(found) > asked.most:
        raise MultipleMatches(f"More than {asked.most} {asked.type} match; nothing was deleted. _count says how many "
                              f"may be deleted at once, up to {ctx.settings.max_conditional_deletes}.",
                              expression="http.url")
    return [one.id for one in found]


def _count(text: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most or len(text) > 9:
        raise InvalidRequest(f"_count is {text[:20]!r}; of a conditional delete it must lie between 1 and {most}.",
                             expression="_count")
    return int(text)


def _cascades(text: str | None) -> bool:
    if text is not None and text not in CASCADES:
        raise InvalidRequest(f"_cascade is {text[:40]!r}; it must be {' or '.join(CASCADES)}.", expression="_cascade")
    return text == "delete"


def _with(also: list[str]) -> str:
    return f" With it went {len(also)} that referred to it: {_named(also)}." if also else ""


def _named(references: list[str]) -> str:
    more = len(references) - _NAMED
    return ", ".join(references[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _told(text: str, entity: tuple[str, str] | None) -> FhirResponse:
    return FhirResponse(200, outcome.dump([outcome.information(text)]), entity=entity)
