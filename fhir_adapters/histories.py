"""FHIR R4 resources -> histories for the recommender: https://hl7.org/fhir/R4/

Conditions, procedures, medications and immunizations become items by their preferred coding. What says that it did
not happen, or cannot be mapped, is named in `History.left_out`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from fhir_adapters.bundle_files import documents
from fhir_adapters.codings import ATC, CPT, CVX, ICD10, ICD10_CM, NDC, RXNORM, SNOMED, Coding, codings, preferred
from ml.recommender.history import SEXES, History, Item, LeftOut, united
from ml.result import DataUnreadable

Resource = Mapping[str, Any]

PREFERRED = {
    "condition": (SNOMED, ICD10_CM, ICD10),
    "procedure": (SNOMED, CPT),
    "medication": (RXNORM, SNOMED, ATC, NDC),
    "immunization": (CVX, SNOMED, NDC),
}
"""Code systems in order of preference; any other comes after them, by its address."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one resource type is read; `never` are the statuses that say it did not happen or is only planned."""

    kind: str
    concept: str
    subject: str
    dates: tuple[str, ...]
    never: frozenset[str]


_TAKEN = frozenset({"entered-in-error", "not-done"})

READINGS = {
    "Condition": Reading("condition", "code", "subject", ("onsetDateTime", "onsetPeriod", "recordedDate"), frozenset()),
    "Procedure": Reading(
        "procedure", "code", "subject", ("performedDateTime", "performedPeriod"), _TAKEN | {"preparation"}
    ),
    "Immunization": Reading("immunization", "vaccineCode", "patient", ("occurrenceDateTime", "recorded"), _TAKEN),
    "MedicationRequest": Reading(
        "medication", "medication", "subject", ("authoredOn",), frozenset({"entered-in-error", "cancelled", "draft"})
    ),
    "MedicationStatement": Reading(
        "medication",
        "medication",
        "subject",
        ("effectiveDateTime", "effectivePeriod", "dateAsserted"),
        frozenset({"entered-in-error", "intended", "not-taken"}),
    ),
    "MedicationAdministration": Reading(
        "medication", "medication", "subject", ("effectiveDateTime", "effectivePeriod"), _TAKEN
    ),
    "MedicationDispense": Reading(
        "medication",
        "medication",
        "subject",
        ("whenHandedOver", "whenPrepared"),
        frozenset({"entered-in-error", "preparation", "cancelled", "declined"}),
    ),
}

_NEVER_VERIFIED = frozenset({"entered-in-error", "refuted"})
_ONLY_PROPOSED = frozenset({"proposal", "plan", "option"})
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")

OTHER_PATIENT = "belongs to another patient"
NO_SUBJECT = "names no patient"
NO_CODING = "has no coding with system and code"
NO_MEDICATION = "its medication is not among the given resources"
DO_NOT_PERFORM = "asks that it be not done"
MODIFIED = "has modifier extensions or implicitRules, which may mean anything"


class HistoryError(DataUnreadable):
    """A file of records cannot be read, or is no collection of FHIR Bundles; the message names the place."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A resource and the address it had in its Bundle."""

    resource: Resource
    full_url: str | None = None

    @property
    def type(self) -> str:
        """The resource type, empty if it has none."""
        return _text(self.resource.get("resourceType")) or ""

    @property
    def id(self) -> str | None:
        """The logical id."""
        return _text(self.resource.get("id"))

    @property
    def name(self) -> str | None:
        """The id, or the address of what has none yet."""
        return self.id or self.full_url

    @property
    def source(self) -> str:
        """How the resource is named in a report or as a source: Type/id, else its address, else its type."""
        return f"{self.type}/{self.id}" if self.id else self.full_url or self.type

    @property
    def addresses(self) -> Iterator[str]:
        """Everything that a reference to it may say."""
        if self.id:
            yield f"{self.type}/{self.id}"
            yield f"urn:uuid:{self.id}"
        if self.full_url:
            yield _address(self.full_url)


def history_of(resources: Iterable[Resource], patient_id: str) -> History:
    """The history of one patient from what $everything gives: resources or Bundles of them, in any order.

    `patient_id` may be written with or without "Patient/".
    """
    return _history(list(_placed(resources)), patient_id.removeprefix("Patient/"))


def read_histories(path: Path) -> Iterator[History]:
    """One history per patient of each Bundle in a file or directory (see `documents`), one Bundle in memory at a time.

    A Bundle with neither patients nor items, such as one of hospitals, gives nothing. Resources of somebody who is
    not in the Bundle are left out of, and named in, the history of its first patient.
    """
    for place, content in documents(Path(path)):
        yield from _histories(place, _bundle(place, content))


def _histories(place: str, bundle: Resource) -> Iterator[History]:
    placed = list(_placed([bundle]))
    patients = sorted({entry.name for entry in placed if entry.type == "Patient" and entry.name})
    if not patients and any(entry.type in READINGS for entry in placed):
        raise HistoryError(f"{place}: a Bundle of records without their Patient; a Bundle holds whole patients.")
    everybody = {address for entry in placed if entry.type == "Patient" for address in entry.addresses}
    for number, patient in enumerate(patients):
        history = _history(placed, patient, frozenset(everybody))
        yield history if number == 0 else replace(history, left_out=_own(history))


def _own(history: History) -> tuple[LeftOut, ...]:
    return tuple(entry for entry in history.left_out if entry.reason not in (OTHER_PATIENT, NO_SUBJECT))


def _history(placed: list[Placed], patient: str, told_elsewhere: frozenset[str] = frozenset()) -> History:
    """One patient's history; resources of the patients `told_elsewhere` are not reported as left out."""
    persons = [entry for entry in placed if entry.type == "Patient" and entry.name == patient]
    person = persons[0] if persons else Placed({"resourceType": "Patient", "id": patient})
    names = frozenset(address for entry in (person, *persons) for address in entry.addresses)
    medications = {address: entry for entry in placed if entry.type == "Medication" for address in entry.addresses}
    items: list[Item] = []
    left_out: list[LeftOut] = []
    for entry in placed:
        reading = READINGS.get(entry.type)
        if reading is None or _reference(entry.resource.get(reading.subject)) in told_elsewhere - names:
            continue
        read = _item(entry, reading, names, medications)
        if isinstance(read, Item):
            items.append(read)
        else:
            left_out.append(read)
    sex = _text(person.resource.get("gender"))
    return History(
        patient,
        sex if sex in SEXES else None,
        _day(person.resource.get("birthDate")),
        united(items),
        deceased=_deceased(person.resource),
        left_out=tuple(left_out),
    )


def _deceased(person: Resource) -> bool:
    return person.get("deceasedBoolean") is True or isinstance(person.get("deceasedDateTime"), str)


def _item(entry: Placed, reading: Reading, names: frozenset[str], medications: Mapping[str, Placed]) -> Item | LeftOut:
    resource = entry.resource
    coding: Coding | None = None
    reason = _not_his(resource, reading, names) or _did_not_happen(resource, reading)
    if not reason:
        concept = _medication(resource, medications) if reading.kind == "medication" else resource.get(reading.concept)
        coding = preferred(concept, PREFERRED[reading.kind])
        reason = NO_MEDICATION if concept is None and reading.kind == "medication" else NO_CODING
    if coding is None:
        return LeftOut(entry.source, reason)
    system, code, display = coding
    return Item(reading.kind, system, code, display, _first_date(resource, reading.dates), (entry.source,))


def _not_his(resource: Resource, reading: Reading, names: frozenset[str]) -> str:
    address = _reference(resource.get(reading.subject))
    if address is None:
        return NO_SUBJECT
    return "" if address in names else OTHER_PATIENT


def _did_not_happen(resource: Resource, reading: Reading) -> str:
    """Why the resource says nothing about what the patient had; empty if it does."""
    if "modifierExtension" in resource or "implicitRules" in resource:
        return MODIFIED
    status = _text(resource.get("status"))
    if status in reading.never:
        return f"status {status}"
    verified = {code for _, code, _ in codings(resource.get("verificationStatus"))} & _NEVER_VERIFIED
    if verified:
        return f"verification status {min(verified)}"
    if resource.get("resourceType") == "MedicationRequest":
        intent = _text(resource.get("intent"))
        if intent in _ONLY_PROPOSED:
            return f"intent {intent}"
        if resource.get("doNotPerform") is True:
            return DO_NOT_PERFORM
    return ""


def _medication(resource: Resource, medications: Mapping[str, Placed]) -> object:
    """The concept of a medication in any of its two forms; None when the reference leads nowhere."""
    if "medicationCodeableConcept" in resource:
        return resource["medicationCodeableConcept"]
    reference = _reference(resource.get("medicationReference"))
    if reference is None:
        return None
    if reference.startswith("#"):
        contained = (each for each in _list(resource.get("contained")) if isinstance(each, Mapping))
        return next((each.get("code", {}) for each in contained if f"#{each.get('id')}" == reference), None)
    found = medications.get(reference)
    return found.resource.get("code", {}) if found else None


def _first_date(resource: Resource, names: Iterable[str]) -> str | None:
    """The first of the elements that holds a date, a Period by its start."""
    for name in names:
        value = resource.get(name)
        day = _day(value.get("start") if isinstance(value, Mapping) else value)
        if day:
            return day
    return None


def _day(value: object) -> str | None:
    """A date or dateTime cut to the day, as precise as it was; None if it is not one of the calendar."""
    text = (_text(value) or "")[:10]
    if not _DATE.fullmatch(text):
        return None
    try:
        date.fromisoformat((text + "-01-01")[:10])
    except ValueError:
        return None
    return text


def _reference(value: object) -> str | None:
    text = _text(value.get("reference")) if isinstance(value, Mapping) else None
    return _address(text) if text else None


def _address(text: str) -> str:
    """A literal reference without its version; an absolute one stays so, since another server's Patient/1 is not ours.

    https://hl7.org/fhir/R4/references.html#literal
    """
    return text.split("/_history/")[0]


def _placed(resources: Iterable[object]) -> Iterator[Placed]:
    """Every resource, those of Bundles with their addresses."""
    waiting = [(each, None) for each in resources]
    waiting.reverse()
    while waiting:
        resource, full_url = waiting.pop()
        if not isinstance(resource, Mapping):
            continue
        if resource.get("resourceType") != "Bundle":
            yield Placed(resource, _text(full_url))
            continue
        entries = [entry for entry in _list(resource.get("entry")) if isinstance(entry, Mapping)]
        waiting.extend((entry.get("resource"), entry.get("fullUrl")) for entry in reversed(entries))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _bundle(place: str, content: bytes) -> Resource:
    try:
        bundle = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise HistoryError(f"{place}: no JSON: {error.msg}.") from None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise HistoryError(f"{place}: not a Bundle; each line or file holds one Bundle with whole patients.")
    if bundle.get("type") == "history":
        raise HistoryError(f"{place}: a Bundle of type history holds old versions, which are nobody's present state.")
    return bundle
