"""Patient/$match: https://hl7.org/fhir/R4/patient-operation-match.html

Who may be meant is found by searches under the token's grant, and compared by hie.fhir.likeness.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, InvalidResource, OutcomeIssue, TooCostly
from hie.fhir import bundle, likeness, modifiers, outcome, references, validation
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.likeness import Likeness
from hie.fhir.outcome import information
from hie.fhir.resource import type_of
from hie.operations import scanning
from hie.operations import terminology_inputs as inputs
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.opening import parsed
from hie.store.search import chain
from hie.store.search.criteria import Reading
from hie.store.search.query import SearchQuery
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

Json = dict[str, Any]
Found = tuple[Likeness, StoredVersion]

#: Patients that one search brings to be compared, their bytes, and matches that one answer holds.
MOST_COMPARED, _MOST_BYTES, MOST_ANSWERED = 200, 20_000_000, 100
#: Pairs of characters that one request looks at, in about a second; a thousand usual records take less than a million.
MOST_EFFORT = 20_000_000
_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
#: What a Patient may lack to be compared: https://hl7.org/fhir/R4/patient-operation-match.html
_MAY_LACK = frozenset({"required", "invariant"})
#: Records that replaced one another, one after the other.
_MOST_MERGED = 5
#: What one who is certain has in common at least: more who have it than are compared may hide another one.
_OF_CERTAIN = frozenset({"birthdate", "identifier"})
_SEPARATORS = re.compile(r"([\\,|$])")


def match(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the patients who may be the one that was sent, the most likely first."""
    asked = _asked(request.resource)
    only_certain, most = inputs.boolean(request, "onlyCertainMatches") is True, _most(request)
    found, uncompared = _found(asked, ctx)
    told = []
    if uncompared:
        told.append(OutcomeIssue("incomplete", f"More than {MOST_COMPARED} patients have what was asked in common, of "
                                 "whom some were not compared; more of what is known makes them fewer.",
                                 "Patient", "warning"))
    if only_certain and (uncompared & _OF_CERTAIN or len(found) != 1 or found[0][0].grade != "certain"):
        if found:
            told.append(information(f"{len(found)} patients may be meant, and not one alone with certainty; without "
                                    "onlyCertainMatches they are told."))
        found = []
    rows = [bundle.outcome_entry(outcome.outcome(told))] if told else []
    rows = [*(_entry(one, ctx) for one in found[:most]), *rows]
    return FhirResponse(200, bundle.listing("searchset", ctx.new_id(), ctx.clock(), [], rows, len(found)))


def _asked(resource: Any) -> Json:
    """Return the Patient to be compared: it need not be whole, but what it says has to be right."""
    if type_of(resource) != "Patient":
        raise InvalidResource(f"$match compares a Patient; found {type_of(resource)}.", expression="resource")
    wrong = [OutcomeIssue(one.code, one.diagnostics, one.expression, one.severity)
             for one in validation.validate(resource, "Patient")
             if one.severity in ("fatal", "error") and one.code not in _MAY_LACK]
    if wrong:
        raise InvalidResource(wrong[0].diagnostics, issues=wrong)
    modifiers.refuse(resource)
    asked: Json = resource
    return asked


def _most(request: FhirRequest) -> int:
    count = inputs.integer(request, "count")
    if count == 0:
        raise InvalidRequest("count is 0; it is the number of patients to be told, from 1.", expression="count")
    return min(count or MOST_ANSWERED, MOST_ANSWERED)


def _found(asked: Json, ctx: Context) -> tuple[list[Found], set[str]]:
    """Compare all who have something in common with a Patient; name what more have in common than are compared."""
    wanted, uncompared = likeness.traits(asked), set[str]()
    found: dict[str, Found | None] = {}
    kept, effort = scanning.Kept("ask with more of what is known.", "resource"), 0
    questions = list(_questions(asked))
    if not questions:
        raise InvalidRequest("$match needs an identifier with its system, a telephone number or address of mail, or "
                             "two of family name, given name and birth date (beside which a postal code will do).",
                             expression="resource")
    for question in questions:
        reading = Reading(ctx.base_url)
        page = ctx.store.search(SearchQuery(
            "Patient", tuple(chain.parse("Patient", name, text, reading) for name, text in question),
            count=MOST_COMPARED, total="none", most_bytes=_MOST_BYTES))
        if page.next_cursor is not None:
            uncompared.add(question[0][0])
        for one in page.matches:
            if one.id not in found:
                patient = parsed(one)
                known = likeness.traits(patient)
                effort += likeness.effort(wanted, known)
                if effort > MOST_EFFORT:
                    raise TooCostly("So many long names and addresses take too long to compare with those of the "
                                    "patients who have something in common; ask with fewer of them.",
                                    expression="resource")
                alike = _capped(likeness.compared(wanted, known), patient)
                found[one.id] = (alike, one) if alike.grade is not None else None
                kept.take(len(one.content or b"") if alike.grade is not None else 0)
    graded = _in_use({id_: one for id_, one in found.items() if one is not None}, ctx).values()
    return sorted(graded, key=lambda one: (-one[0].score, one[1].id)), uncompared


def _capped(alike: Likeness, patient: Json) -> Likeness:
    """What the rules and modifiers of a record make of it is not known, so that somebody has to look at it."""
    return replace(alike, grade="possible") if alike.grade is not None and modifiers.has(patient) else alike


def _in_use(found: dict[str, Found], ctx: Context) -> dict[str, Found]:
    """Return the records that take the place of those that are replaced, which must no longer be used, in their stead.

    https://hl7.org/fhir/R4/valueset-link-type.html
    """
    for _ in range(_MOST_MERGED):
        replaced = {id_: others for id_, one in found.items() if (others := _replacing(parsed(one[1]), ctx))}
        known = ctx.store.read_many(("Patient", other) for others in replaced.values() for other in others)
        for id_, others in replaced.items():
            heirs = [known["Patient", other] for other in others if ("Patient", other) in known]
            alike = found.pop(id_)[0] if heirs else found[id_][0]
            for heir in heirs:
                if heir.id not in found or found[heir.id][0].score < alike.score:
                    found[heir.id] = (_capped(alike, parsed(heir)), heir)
        if not known:
            break
    return {id_: (replace(alike, grade="possible") if _replacing(parsed(one), ctx) else alike, one)
            for id_, (alike, one) in found.items()}


def _replacing(patient: Json, ctx: Context) -> list[str]:
    links = (one["other"].get("reference", "") for one in patient.get("link", []) if one.get("type") == "replaced-by")
    read = (references.parse(relative(text, ctx.store.base_url)) for text in links)
    return [one.id for one in read if one.kind == "relative" and one.type == "Patient" and one.id]


def _questions(asked: Json) -> Iterator[list[tuple[str, str]]]:
    """Yield the searches for whoever may be meant: each for who has one, or two, of the traits, the more telling first.
    """
    names, addresses = _rows(asked, "name"), _rows(asked, "address")
    families = _any(one.get("family") for one in names)
    givens = _any(given for one in names for given in one.get("given", ()))
    if known := ",".join(f"{_escaped(one['system'])}|{_escaped(one['value'])}" for one in _rows(asked, "identifier")
                         if one.get("system") and one.get("value")):  # fmt: skip
        yield [("identifier", known)]
    if families and givens:
        yield [("name", families), ("name", givens)]
    if day := asked.get("birthDate"):
        if either := ",".join(filter(None, (families, givens))):
            yield [("birthdate", day), ("name", either)]
        if codes := _any(one.get("postalCode") for one in addresses):
            yield [("birthdate", day), ("address-postalcode", codes)]
    if contacts := _any(one.get("value") for one in _rows(asked, "telecom")
                        if one.get("system") in ("phone", "sms", "email", None)):  # fmt: skip
        yield [("telecom", contacts)]


def _rows(asked: Json, name: str) -> list[Json]:
    return [one for one in asked.get(name, [])[: likeness.MOST_VALUES] if isinstance(one, dict)]


def _any(values: Iterator[Any]) -> str:
    found = dict.fromkeys(_escaped(one) for one in values if isinstance(one, str) and one.strip())
    return ",".join(list(found)[: likeness.MOST_VALUES])


def _escaped(text: str) -> str:
    return _SEPARATORS.sub(r"\\\1", text.strip())


def _entry(found: Found, ctx: Context) -> Json:
    alike, stored = found
    row = bundle.match_entry(ctx.base_url, stored.type, stored.id, stored.content or b"{}", "match")
    row["search"] = {"extension": [{"url": _GRADE, "valueCode": alike.grade}], "mode": "match", "score": alike.score}
    return row


OPERATION = Operation(
    code="match",
    levels=frozenset({"type"}),
    types=frozenset({"Patient"}),
    function=match,
    definition="http://hl7.org/fhir/OperationDefinition/Patient-match",
    parameters=standard_parameters("match@Patient", {
        "resource": "What is known of the patient: a Patient, which may lack what one must have.",
        "onlyCertainMatches": "true: one alone who may be meant, and certainly is, or nobody.",
        "count": "So many at most; 100 unless given, and at most.",
    }),
    returns=standard_returns("match@Patient", {
        "return": "A Bundle of the type searchset, the most likely first, each with its score and grade."}),
    documentation="Patients who may be the one that is sent, of those whom the token may search.",
)
