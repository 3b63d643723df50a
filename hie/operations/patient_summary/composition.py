"""The document of a summary: its Composition, who made it, and the entries that say that nothing is known.

https://hl7.org/fhir/uv/ips/STU1.1/StructureDefinition-Bundle-uv-ips.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hie import __version__
from hie.context import Context
from hie.fhir.instants import instant
from hie.operations.patient_summary import narrative, words
from hie.operations.patient_summary.choosing import MOST, Chosen, Entry
from hie.operations.patient_summary.sections import ABSENT, LOINC, NoInformation
from hie.operations.patient_summary.words import Names

Json = dict[str, Any]

BUNDLE = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"
_COMPOSITION = "http://hl7.org/fhir/uv/ips/StructureDefinition/Composition-uv-ips"
_ACT_CLASS = "http://terminology.hl7.org/CodeSystem/v3-ActClass"
_STATUS = "http://terminology.hl7.org/CodeSystem/"
_UNKNOWN = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                           "valueCode": "unknown"}]}  # fmt: skip
_TITLE = "International Patient Summary"
_HEAD = ("What", "When", "Details")


@dataclass(slots=True)
class Document:
    """What is made for one summary beside what is stored: `entries` come with addresses of their own."""

    person: str
    """Patient/id"""
    ctx: Context
    names: Names
    told: Sequence[str] = ()
    """What there is to say of the whole."""
    conforms: bool = True
    """Whether all is there that IPS wants."""
    entries: list[Json] = field(default_factory=list)

    def bundle(self, found: Sequence[Chosen], stored: Sequence[Json], state: int) -> Json:
        """Return the document of what was chosen; `stored` are the entries of what is stored, the Patient first."""
        composition = self._composition(found, state)
        return {
            "resourceType": "Bundle",
            **({"meta": {"profile": [BUNDLE]}} if self.conforms else {}),
            "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{self.ctx.new_id()}"},
            "type": "document",
            "timestamp": instant(self.ctx.clock()),
            "entry": [composition, *stored, *self.entries],
        }

    def _composition(self, found: Sequence[Chosen], state: int) -> Json:
        author = self._add(_author(self.ctx))
        return self._entry({
            "resourceType": "Composition",
            **({"meta": {"profile": [_COMPOSITION]}} if self.conforms else {}),
            "text": narrative.narrative(narrative.paragraphs((f"{_TITLE}.", *self.told))),
            "status": "preliminary",  # "may be incomplete or unverified": nobody has looked at it
            "type": {"coding": [{"system": LOINC, "code": "60591-5", "display": "Patient summary Document"}]},
            "subject": {"reference": self._address(self.person)},
            "date": instant(self.ctx.clock()),
            "author": [{"reference": author, "display": f"hie at {self.ctx.base_url}"}],
            "title": _TITLE,
            "event": [{"code": [{"coding": [{"system": _ACT_CLASS, "code": "PCPR", "display": "care provision"}]}],
                       "period": {"end": instant(state)}}],
            "section": [self._section(one) for one in found if one.entries or one.section.nothing is not None],
        })  # fmt: skip

    def _section(self, one: Chosen) -> Json:
        section = one.section
        named = [self._listed(each) for each in one.entries]
        if not named and section.nothing is not None:
            named = [self._add(_nothing(section.nothing, self._address(self.person)))]
        return {
            "title": section.title,
            "code": {"coding": [{"system": LOINC, "code": section.code, "display": section.display}]},
            "text": narrative.narrative("".join(self._text(one))),
            "entry": [{"reference": to} for to in named],
        }

    def _text(self, one: Chosen) -> Iterator[str]:
        if one.entries:
            resources = [each.resource for each in one.entries]
            rows = [(words.what(each, self.names), words.when(each), words.details(each, self.names))
                    for each in resources]  # fmt: skip
            yield narrative.table(_HEAD, rows)
        yield narrative.paragraphs(_told_of(one))

    def _listed(self, entry: Entry) -> str:
        """Return the address of what a section lists: what is stored, or the use of a Device that IPS wants there."""
        address = self._address(f"{entry.stored.type}/{entry.stored.id}")
        return self._add(_use_of(address, self._address(self.person))) if entry.is_device else address

    # ---- entries -------------------------------------------------------------------------------------------------

    def _address(self, place: str) -> str:
        return f"{self.ctx.base_url}/{place}"

    def _entry(self, resource: Json) -> Json:
        id_ = self.ctx.new_id()
        type_name = resource.pop("resourceType")
        return {"fullUrl": f"urn:uuid:{id_}", "resource": {"resourceType": type_name, "id": id_, **resource}}

    def _add(self, resource: Json) -> str:
        self.entries.append(self._entry(resource))
        return str(self.entries[-1]["fullUrl"])


def _told_of(one: Chosen) -> Iterator[str]:
    """Say what is not in a section."""
    nothing = one.section.nothing
    if not one.entries and nothing is not None:
        yield (f"{nothing.display}: none that is current is stored here, as far as who asked may read. That is no "
               "statement that there is none.")  # fmt: skip
    for type_name in one.cut:
        yield f"More is stored than what stands here of {type_name}: at most {MOST} of them, the most recent first."
    if one.section.is_latest and one.entries:
        yield "Of each test or question the most recent stands here."


def _author(ctx: Context) -> Json:
    """Return this server as a Device: no person and no organization vouches for what it puts together."""
    return {
        "resourceType": "Device",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": ctx.base_url}],
        "status": "active",
        "deviceName": [{"name": "hie", "type": "model-name"}],
        "type": {"text": "FHIR server"},
        "version": [{"value": __version__}],
        "url": ctx.base_url,
    }


def _nothing(nothing: NoInformation, subject: str) -> Json:
    """Return a resource that says that there is no information, which is no claim that there is nothing."""
    code = {"coding": [{"system": ABSENT, "code": nothing.code, "display": nothing.display}]}
    return _NOTHING[nothing.type](code, {"reference": subject})


def _use_of(device: str, subject: str) -> Json:
    """Return the use of a Device by the patient it is affixed to, from when on it does not say.

    https://hl7.org/fhir/R4/device-definitions.html#Device.patient
    """
    return {"resourceType": "DeviceUseStatement", "status": "active", "subject": {"reference": subject},
            "_timingDateTime": _UNKNOWN, "device": {"reference": device}}  # fmt: skip


def _no_medication(code: Json, subject: Json) -> Json:
    return {"resourceType": "MedicationStatement", "status": "unknown", "medicationCodeableConcept": code,
            "subject": subject, "_effectiveDateTime": _UNKNOWN}  # fmt: skip


def _no_allergy(code: Json, patient: Json) -> Json:
    return {"resourceType": "AllergyIntolerance", "clinicalStatus": _active("allergyintolerance-clinical"),
            "code": code, "patient": patient}  # fmt: skip


def _no_problem(code: Json, subject: Json) -> Json:
    return {"resourceType": "Condition", "clinicalStatus": _active("condition-clinical"), "code": code,
            "subject": subject}  # fmt: skip


def _active(system: str) -> Json:
    return {"coding": [{"system": f"{_STATUS}{system}", "code": "active"}]}


_NOTHING: dict[str, Callable[[Json, Json], Json]] = {
    "MedicationStatement": _no_medication, "AllergyIntolerance": _no_allergy, "Condition": _no_problem,
}  # fmt: skip
