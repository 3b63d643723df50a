"""Timing FHIRPath against fhirpathpy, where it is installed: python benchmarks/fhirpath.py

A mixed set of expressions (paths, filters, functions, operators, invariants, search expressions of R4), each compiled
before, on a Patient and an Observation. An expression counts where both engines have a result and it is the same.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hie.fhir import fhirpath

ROUNDS = 7
SECONDS = 0.02

PATIENT: dict[str, Any] = {
    "resourceType": "Patient", "id": "example", "active": True, "birthDate": "1974-12-25", "gender": "male",
    "identifier": [{"use": "usual", "system": "urn:oid:1.2.36.146.595.217.0.1", "value": "12345",
                    "period": {"start": "2001-05-06"}, "assigner": {"display": "Acme Healthcare"}}],
    "name": [{"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
             {"use": "usual", "given": ["Jim"]},
             {"use": "maiden", "family": "Windsor", "given": ["Peter", "James"], "period": {"end": "2002"}}],
    "telecom": [{"use": "home"}, {"system": "phone", "value": "(03) 5555 6473", "use": "work", "rank": 1},
                {"system": "phone", "value": "(03) 3410 5613", "use": "mobile", "rank": 2}],
    "address": [{"use": "home", "type": "both", "line": ["534 Erewhon St"], "city": "PleasantVille",
                 "state": "Vic", "postalCode": "3999", "period": {"start": "1974-12-25"}}],
    "contact": [{"relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0131",
                                               "code": "N"}]}],
                 "name": {"family": "du Marché", "given": ["Bénédicte"]}, "gender": "female"}],
    "managingOrganization": {"reference": "Organization/1"},
    "extension": [{"url": "http://example.org/birthPlace", "valueAddress": {"city": "X"}}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation", "id": "o", "status": "final",
    "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                              "code": "vital-signs"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}], "text": "Blood pressure"},
    "subject": {"reference": "Patient/example"}, "effectiveDateTime": "2016-03-28T10:00:00Z",
    "component": [{"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
                   "valueQuantity": {"value": 107, "unit": "mmHg", "system": "http://unitsofmeasure.org",
                                     "code": "mm[Hg]"}},
                  {"code": {"coding": [{"system": "http://loinc.org", "code": "8462-4"}]},
                   "valueQuantity": {"value": 60, "unit": "mmHg", "system": "http://unitsofmeasure.org",
                                     "code": "mm[Hg]"}}],
    "referenceRange": [{"low": {"value": 90}, "high": {"value": 140}}],
}
EXPRESSIONS: dict[str, list[str]] = {
    "Patient": [
        "name.given", "Patient.name.family", "birthDate", "name.where(use = 'official').given.first()",
        "name.where(use = 'usual').exists()", "telecom.where(system = 'phone' and use = 'work').value",
        "name.given.count()", "name.given.distinct().count()", "name.exists(use = 'maiden')",
        "name.all(given.exists())",
        "contact.all(name.exists() or telecom.exists() or address.exists() or organization.exists())",
        "identifier.where(system = 'urn:oid:1.2.36.146.595.217.0.1').value", "address.city.upper()",
        "name.select(given.first() & ' ' & family)", "telecom.where(rank > 1).use", "name[0].given[1]",
        "extension('http://example.org/birthPlace').value.city", "iif(active, 'yes', 'no')", "name.given | name.family",
        "gender = 'male'", "birthDate < today()", "telecom.rank.aggregate($total + $this, 0)",
        "name.given.where($this.startsWith('P'))", "name.first().family.matches('^[A-Z][a-z]+$')",
        "1 + 2 * 3", "(1 | 2 | 3).where($this > 1).count()", "'a,b,c'.replace(',', '-')", "name.skip(1).given",
        "address.line.substring(0, 3)", "contained.empty() and (active implies name.exists())",
        "Patient.address.where(use = 'home').period.start", "deceased.exists() and deceased != false",
    ],
    "Observation": [
        "code.coding.where(system = 'http://loinc.org').code", "component.value.value", "Observation.code",
        "component.where(code.coding.code = '8480-6').value.value", "subject.reference", "effective",
        "dataAbsentReason.empty() or value.empty()", "component.code.coding.exists(code = '8462-4')",
        "referenceRange.all(low.exists() or high.exists() or text.exists())", "category.coding.code = 'vital-signs'",
        "component.select(value.value).where($this > 100)", "code.coding.first().system",
        "component.count() > 1 and status = 'final'", "(component.value as Quantity).unit.first()",
    ],
}  # fmt: skip


def main() -> None:
    """Print the time of each engine for each expression, and of all together."""
    try:
        import fhirpathpy  # type: ignore[import-not-found]
        from fhirpathpy.models import models  # type: ignore[import-not-found]
    except ImportError:
        fhirpathpy = models = None
        print("fhirpathpy is not installed: our own times alone")
    totals = [0.0, 0.0]
    ratios: list[float] = []
    for type_name, resource in (("Patient", PATIENT), ("Observation", OBSERVATION)):
        for expression in EXPRESSIONS[type_name]:
            compiled = fhirpath.compile(expression, type_name)
            ours = timed(lambda c=compiled, r=resource: c.evaluate(r))
            line = f"{ours:9.2f} µs"
            if fhirpathpy is not None:
                theirs = _theirs(fhirpathpy.compile(expression, models["r4"]), compiled, resource)
                if theirs is not None:
                    totals[0] += ours
                    totals[1] += theirs
                    ratios.append(theirs / ours)
                line += "       another result, or none" if theirs is None else f"{theirs:11.2f} µs{theirs / ours:8.1f}"
            print(f"{line}  {expression}")
    if ratios:
        print(f"\n{len(ratios)} expressions: {totals[0]:.0f} µs against {totals[1]:.0f} µs for all, "
              f"{totals[1] / totals[0]:.1f} times; median {statistics.median(ratios):.1f} times")  # fmt: skip


def _theirs(evaluate: Callable[[Any], Any], compiled: fhirpath.Compiled, resource: Any) -> float | None:
    try:
        found = evaluate(resource)
    except Exception:  # whatever the other engine raises, it has no result to time
        return None
    if not _alike(found, compiled.evaluate(resource)):
        return None
    return timed(lambda: evaluate(resource))


def _alike(theirs: Any, ours: list[Any]) -> bool:
    def plain(value: Any) -> Any:
        return str(value).rstrip("0").rstrip(".") if isinstance(value, Decimal) else str(value)

    return isinstance(theirs, list) and [plain(one) for one in theirs] == [plain(one) for one in ours]


def timed(function: Callable[[], Any]) -> float:
    """Give the median CPU time of one call, in microseconds."""
    function()
    calls = 1
    while _seconds(function, calls) < SECONDS:
        calls *= 4
    return statistics.median(_seconds(function, calls) for _ in range(ROUNDS)) / calls * 1e6


def _seconds(function: Callable[[], Any], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        function()
    return time.process_time() - start


if __name__ == "__main__":
    main()
