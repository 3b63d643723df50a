"""What the recommender reads of patients, from the records in the store, within the grant of who asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hie.context import Context
from hie.fhir import json_format, references
from hie.operations import scanning
from hie.store.search.query import parse
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from ml.recommender.history import History

PAGE = 500


def history(patient_id: str, ctx: Context) -> History:
    """The history of one patient; NotFound or Gone where the Patient is. What the grant hides is not in it."""
    from fhir_adapters.histories import history_of

    patient = json_format.parse(ctx.store.read("Patient", patient_id).content or b"{}")
    kept = scanning.Kept("a history of so much cannot be read at once.", "Patient")
    return history_of(_records(patient, ctx, kept), patient_id)


def histories(ctx: Context) -> Iterator[History]:
    """The histories of all patients in the store, one in memory at a time."""
    from fhir_adapters.histories import history_of

    for patient in _search("Patient", (), ctx):
        yield history_of(_records(patient, ctx), patient["id"])


def hidden_types(ctx: Context) -> list[str]:
    """Resource types of a history that the grant does not let through at all."""
    from fhir_adapters.histories import READINGS

    return [name for name in READINGS if ctx.store.grant.queries(name, "s") == ()]


def _records(patient: dict[str, Any], ctx: Context, kept: scanning.Kept | None = None) -> list[dict[str, Any]]:
    """What a history is made of, what was said in narratives apart; `kept`: it is counted."""
    from fhir_adapters.histories import READINGS

    hidden = hidden_types(ctx)
    of_patient = (("patient", f"Patient/{patient['id']}"),)
    records = [patient]
    for type_name in READINGS:
        if type_name not in hidden:
            found = _search(type_name, of_patient, ctx, kept)
            records += (_with_places(one, ctx.store.base_url) for one in found)
    return records + _medications(records, ctx, kept)


#: Elements that say whose a record is, and which medication it is about.
_REFERRING = ("subject", "patient", "medicationReference")


def _with_places(record: dict[str, Any], base_url: str) -> dict[str, Any]:
    """A record whose references to this server are relative, which alone an adapter knows for its own."""
    found = {}
    for name in _REFERRING:
        text = record.get(name, {}).get("reference")
        if text is not None and (short := relative(text, base_url)) != text:
            found[name] = record[name] | {"reference": short}
    return record | found if found else record


def _medications(
    records: list[dict[str, Any]], ctx: Context, kept: scanning.Kept | None
) -> list[dict[str, Any]]:
    """The Medications of this server that requests and others refer to, as they stand, whatever version is named."""
    named = [references.parse(one.get("medicationReference", {}).get("reference", "")) for one in records]
    ids = dict.fromkeys(one.id for one in named if one.kind == "relative" and one.type == "Medication" and one.id)
    return [_opened(one, kept) for one in ctx.store.each_read(("Medication", id_) for id_ in ids)]


def _opened(stored: StoredVersion, kept: scanning.Kept | None) -> dict[str, Any]:
    """The resource without its narrative, which no history reads."""
    content = stored.content or b"{}"
    if kept is not None:
        kept.take(len(content))
    resource: dict[str, Any] = json_format.parse(content)
    resource.pop("text", None)
    return resource


def without_medication(found: History) -> list[str]:
    """What was left out as its medication is not here: on another server, or not shown to the token; Type/id."""
    from fhir_adapters.histories import NO_MEDICATION

    return [one.source for one in found.left_out if one.reason == NO_MEDICATION]


def _search(
    type_name: str, criteria: tuple[tuple[str, str], ...], ctx: Context, kept: scanning.Kept | None = None
) -> Iterator[dict[str, Any]]:
    """Every match, page by page."""
    query = parse(
        type_name, (*criteria, ("_count", str(PAGE)), ("_total", "none")),
        max_count=PAGE, base_url=ctx.store.base_url, now=ctx.clock(),
    )  # fmt: skip
    while True:
        page = ctx.store.search(query)
        for stored in page.matches:
            yield _opened(stored, kept)
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)
