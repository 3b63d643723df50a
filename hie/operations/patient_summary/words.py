"""What people read of one entry of a summary: what it is, when, and what else it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Names = Callable[[Json, Json], str]
"""Gives the name of what a reference leads to, from the resource that has it; empty where it leads outside."""

_WHAT = ("code", "vaccineCode", "medicationCodeableConcept")
_REFERRED = ("medicationReference", "device")
_NAMED = ("title", "description", "summary")
_WHEN = ("effective", "performed", "occurrence", "onset", "timing", "period", "authoredOn", "whenHandedOver",
         "whenPrepared", "date", "dateTime", "dateAsserted", "recordedDate", "recordedOn")  # fmt: skip
_STATES = ("clinicalStatus", "verificationStatus", "status", "criticality", "severity")
_DAY = re.compile(r"\d{4}(?:-\d\d){0,2}")


def what(resource: Json, names: Names) -> str:
    """Name what an entry is about."""
    for name in _WHAT:
        if name in resource and (text := concept(resource[name])):
            return text
    for name in _REFERRED:
        if name in resource and (text := names(resource[name], resource) or resource[name].get("display")):
            return str(text)
    if resource["resourceType"] == "Device" and (text := name_of(resource)):
        return text
    for name in _NAMED:
        if resource.get(name):
            return str(resource[name])
    kinds = [text for one in resource.get("category", ()) if (text := concept(one))]
    return "; ".join(kinds) or f"{resource['resourceType']} without a name"


def when(resource: Json) -> str:
    """Say when that was, or since when it has been."""
    for name in _WHEN:
        for key in (name, f"{name}DateTime", f"{name}Period", f"{name}String", f"{name}Age", f"{name}Range"):
            if key in resource and (text := _time(resource[key])):
                return text
    return ""


def details(resource: Json, names: Names) -> str:
    """Say what else the entry tells: its states, values, doses and reactions."""
    return "; ".join(text for text in _details(resource, names) if text)


def person(patient: Json) -> str:
    """Name a Patient, with the date of birth."""
    name: Json = next(iter(patient.get("name", ())), {})
    parts = (name.get("text"),) if name.get("text") else (*name.get("given", ()), name.get("family"))
    shown = " ".join(part for part in parts if part) or "Patient without a name"
    return f"{shown}, born {patient['birthDate']}" if patient.get("birthDate") else shown


def name_of(resource: Json) -> str:
    """Name a Medication, a Device or the like that an entry refers to."""
    for one in resource.get("deviceName", ()):
        if text := one.get("name"):
            return str(text)
    return concept(resource.get("code") or resource.get("type") or {})


def concept(value: Any) -> str:
    """Return the text of a CodeableConcept: its own, or that of its first coding that has one, or a code."""
    if not isinstance(value, dict):
        return str(value or "")
    codings = value.get("coding", [])
    shown = (one[key] for key in ("display", "code") for one in codings if one.get(key))
    return str(value.get("text") or next(shown, ""))


def _details(resource: Json, names: Names) -> Iterator[str]:
    for name in _STATES:
        if name in resource and (text := concept(resource[name])):
            yield text
    yield _value(resource)
    for one in resource.get("component", ()):
        if text := _value(one):
            yield f"{concept(one.get('code'))}: {text}"
    for one in (*resource.get("dosage", ()), *resource.get("dosageInstruction", ())):
        yield _dose(one)
    for one in resource.get("reaction", ()):
        shown = ", ".join(concept(each) for each in one.get("manifestation", ()))
        yield " ".join(filter(None, ("reaction:", shown, one.get("severity"))))
    for key in ("abatementDateTime", "abatementPeriod", "abatementString"):
        if key in resource:
            yield f"until {_time(resource[key])}"
    yield str(resource.get("conclusion") or "")


def _value(resource: Json) -> str:
    for key, value in resource.items():
        if key.startswith("value") and key[5:6].isupper():
            return shown(value)
    return concept(resource.get("dataAbsentReason"))


def shown(value: Any) -> str:
    """Write a value of any type that an Observation may have."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, dict):
        return str(value)
    if "coding" in value or "text" in value:
        return concept(value)
    if "numerator" in value or "denominator" in value:
        return f"{shown(value.get('numerator', {}))} / {shown(value.get('denominator', {}))}"
    if "low" in value or "high" in value:
        return f"{shown(value.get('low', {}))} to {shown(value.get('high', {}))}"
    if "start" in value or "end" in value:
        return _time(value)
    parts = (value.get("comparator"), value.get("value"), value.get("unit") or value.get("code"))
    return " ".join(str(part) for part in parts if part is not None)


def _dose(dosage: Json) -> str:
    if text := dosage.get("text"):
        return str(text)
    timing = dosage.get("timing", {})
    repeat = timing.get("repeat", {})
    often = concept(timing.get("code"))
    if not often and "frequency" in repeat and "period" in repeat:
        often = f"{repeat['frequency']} per {repeat['period']} {repeat.get('periodUnit', '')}".strip()
    amounts = [text for one in dosage.get("doseAndRate", ()) for key in ("doseQuantity", "doseRange")
               if key in one and (text := shown(one[key]))]  # fmt: skip
    need = "as needed" if dosage.get("asNeededBoolean") is True else concept(dosage.get("asNeededCodeableConcept"))
    return ", ".join(filter(None, (*amounts, often, need, concept(dosage.get("route")))))


def _time(value: Any) -> str:
    """Write a date, a period or a text; of an instant its day."""
    if isinstance(value, str):
        day = _DAY.match(value)
        return day[0] if day and (len(value) == len(day[0]) or value[len(day[0])] == "T") else value
    if not isinstance(value, dict):
        return ""
    if "start" in value or "end" in value:
        return _period(_time(value.get("start", "")), _time(value.get("end", "")))
    return shown(value)


def _period(start: str, end: str) -> str:
    if start and end:
        return start if start == end else f"{start} to {end}"
    return f"from {start}" if start else f"until {end}"
