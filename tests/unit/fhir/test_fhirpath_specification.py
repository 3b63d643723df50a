"""FHIRPath by its specification, beyond test_fhirpath.py: types, bounds, units, strict and watched evaluation.

https://hl7.org/fhirpath/N1/, https://hl7.org/fhirpath/ (functions newer than 2.0.0)
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from hie.fhir import fhirpath
from hie.fhir.fhirpath import Amount, FhirPathError, FhirPathSemanticError, Watch
from hie.fhir.fhirpath.errors import FhirPathLimit

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "gender": "male",
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "http://example.org/t", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
    "name": [
        {"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
        {"use": "usual", "given": ["Jim"]},
    ],
    "telecom": [{"rank": 2, "value": "b"}, {"rank": 1, "value": "a"}, {"value": "c"}],
    "multipleBirthInteger": 2,
    "extension": [{"url": "http://example.org/q", "valueQuantity": {"value": Decimal("85"), "code": "kg"}}],
}
T, F, E = [True], [False], []  # type: ignore[var-annotated]

TYPES = [
    ("1.type().namespace & '.' & 1.type().name", ["System.Integer"]), ("'1'.type().name", ["String"]),
    ("true.type().namespace", ["System"]), ("1.0.type().name", ["Decimal"]), ("@2012.type().name", ["Date"]),
    ("@2012T.type().name", ["DateTime"]), ("@T10.type().name", ["Time"]), ("(1 'mg').type().name", ["Quantity"]),
    ("active.type().namespace", ["FHIR"]), ("active.type().name", ["boolean"]), ("gender.type().name", ["code"]),
    ("Patient.type().name", ["Patient"]), ("name.type().name", ["HumanName", "HumanName"]),
    ("multipleBirth.type().name", ["integer"]), ("{}.type()", E), ("Patient is FHIR.Patient", T),
    ("Patient is System.Patient", F), ("gender is string", T), ("gender is System.String", F),
    ("extension.value is Quantity", T), ("extension.value.as(Quantity).code", ["kg"]), ("active is boolean", T),
    ("active is Boolean", F), ("Patient.ofType(FHIR.`Patient`).type().name", ["Patient"]),
]  # fmt: skip
BOUNDS = [
    ("1.587.lowBoundary()", [Decimal("1.58650000")]), ("1.587.lowBoundary(6)", [Decimal("1.586500")]),
    ("1.587.lowBoundary(2)", [Decimal("1.58")]), ("1.587.lowBoundary(0)", [Decimal(1)]),
    ("1.587.lowBoundary(-1)", E), ("1.587.lowBoundary(39)", E), ("(-1.587).lowBoundary(2)", [Decimal("-1.59")]),
    ("1.lowBoundary(5)", [Decimal("0.50000")]), ("120.lowBoundary(2)", [Decimal("119.50")]),
    ("1.587.highBoundary(2)", [Decimal("1.59")]), ("(-1.587).highBoundary()", [Decimal("-1.58650000")]),
    # A bound is one: it is rounded outwards, never onto the value's own side.
    ("0.0034.highBoundary(1)", [Decimal("0.1")]), ("(-0.0034).lowBoundary(1)", [Decimal("-0.1")]),
    ("(1.587 'cm').lowBoundary(4)", [Amount(Decimal("1.5865"), "cm")]),
    ("@2014.lowBoundary(6) = @2014-01", T), ("@2014.highBoundary(6) = @2014-12", T), ("@2014.lowBoundary(7)", E),
    ("@2014-02.highBoundary() = @2014-02-28", T), ("@2016-02.highBoundary() = @2016-02-29", T),
    ("@2014-01-01T08.lowBoundary(17) = @2014-01-01T08:00:00.000+14:00", T),
    ("@2014-01-01T08.highBoundary(17) = @2014-01-01T08:59:59.999-12:00", T),
    ("@2014-01-01T08:05-05:00.highBoundary() = @2014-01-01T08:05:59.999-05:00", T),
    ("@2014-01-01T08.lowBoundary(8) = @2014-01-01", T), ("@T10:30.highBoundary() = @T10:30:59.999", T),
    ("{}.lowBoundary()", E), ("birthDate.highBoundary(4) = @1974", T),
    ("1.58700.precision()", [5]), ("12.precision()", [0]), ("@2014.precision()", [4]), ("@T10:30.precision()", [4]),
    ("@2014-01-05T10:30:00.000-05:00.precision()", [17]), ("{}.precision()", E),
]  # fmt: skip
CONVERTED = [
    ("name.given.as(System.String)", ["Peter", "James", "Jim"]), ("(gender as System.String)", ["male"]),
    ("active as System.Boolean", T), ("active as System.String", E), ("(birthDate as System.Date) < @1975", T),
    ("(extension.value as System.Quantity) = 85 'kg'", T), ("name.given.ofType(System.String)", E),
    ("birthDate.getValue() is System.Date", T), ("gender.getValue() is System.String", T), ("name.getValue()", E),
    ("text.div.htmlChecks()", E), ("name.htmlChecks()", E), ("active.htmlChecks()", E),
]  # fmt: skip
MEMBERS = [
    ("gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", T),
    ("name.first().use.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", F),
    ("'DE'.memberOf('http://hl7.org/fhir/ValueSet/iso3166-1-2')", T),
    ("'ZZZ'.memberOf('http://hl7.org/fhir/ValueSet/iso3166-1-2')", F),
    ("'1'.memberOf('http://loinc.org/vs')", E), ("'1'.memberOf('http://example.org/none')", E),
]  # fmt: skip
UNITS = [
    ("1 'cm'.comparable(1 '[in_i]')", T), ("1 'cm'.comparable(1 's')", F), ("1 '[in_i]' = 2.54 'cm'", T),
    ("1 '[lb_av]' < 1 'kg'", T), ("2.0 'cm' * 2.0 'm' = 0.04 'm2'", T), ("4.0 'g' / 2.0 'm' = 2 'g/m'", T),
    ("6 'm' / 3 'm' = 2", T), ("4 'g' / 0 'g'", E), ("2 'm' * 3", [Amount(Decimal(6), "m")]),
    ("1 'g/L' = 1 'mg/mL'", T),
    ("1 'km/h' > 1 'm/s'", F), ("36 'km/h' = 10 'm/s'", T), ("1 'x' = 1 'x'", T), ("1 'x' = 1 'y'", E),
    ("'1 wk'.convertsToQuantity()", F), ("'1 week'.convertsToQuantity()", T),
    ("'1 \\'wk\\''.toQuantity() = 7 days", T),
    ("extension.value != 185 'kg'", T), ("extension.value = 85000 'g'", T),
    ("1 year ~ 1 'a'", T), ("1 year = 1 'a'", E), ("12 'mo' ~ 1 year", T), ("1 'a' !~ 2 years", T),
    ("1 second ~ 1 's'", T), ("1 'a' = 365.25 'd'", T), ("1 'mo' < 32 'd'", T), ("1 year > 1 'mo'", E),
]  # fmt: skip
DATES = [
    ("(@1973-12-25T00:00:00.000+10:00 + 7 days).toString()", ["1974-01-01T00:00:00.000+10:00"]),
    ("(@1973-12-25T00:00:00+10:00 + 1 month).toString()", ["1974-01-25T00:00:00+10:00"]),
    ("(@2020-01-31 + 1 month).toString()", ["2020-02-29"]), ("(@2012 + 14 months).toString()", ["2013"]),
    ("(@T23:30 + 1 hour).toString()", ["00:30"]), ("(@1973-12-25 + 7.7 days).toString()", ["1974-01-01"]),
    ("(@2012-01-01T10:00:00.000Z - 1 'ms').toString()", ["2012-01-01T09:59:59.999Z"]),
    ("(@2012-01-01T10 + 1 hour).toString()", ["2012-01-01T11"]),
    ("(@2014 + 23 months).toString()", ["2015"]), ("(@2016 + 365 days).toString()", ["2017"]),
    ("(@2014 - 1 month).toString()", ["2014"]), ("(@2014 - 24 months).toString()", ["2012"]),
    ("(@2014-03 - 29 days).toString()", ["2014-03"]), ("(@2014-03 + 30 days).toString()", ["2014-04"]),
    ("(@2020-01-01T10 - 61 minutes).toString()", ["2020-01-01T09"]), ("(@T10:30 - 59 seconds).toString()", ["10:30"]),
]  # fmt: skip
TEXT = [
    ("'\"1<2\"'.escape('html')", ["&quot;1&lt;2&quot;"]), ("'&lt;'.unescape('html')", ["<"]),
    ("'a\"b'.escape('json')", ['a\\"b']), ("'a\\\\\"b\\\\n'.unescape('json')", ['a"b\n']), ("'a'.escape('x')", E),
    ("'abc'.replaceMatches('', 'x')", ["abc"]), ("'abc'.replaceMatches('b', '[$0]')", ["a[b]c"]),
    ("'abc'.replaceMatches('(?<n>b)', '')", ["ac"]), ("'abc'.substring(1, {})", ["bc"]), ("'abc'.substring({}, 1)", E),
]
NUMBERS = [
    ("0.power(-1)", E), ("0.0.power(-1.5)", E), ("0.power(0)", [1]), ("0.0.power(0.0) = 1", T), ("(-1).power(0.5)", E),
    ("2.power(-1) = 0.5", T), ("(-100000000).exp()", [0]),
]  # fmt: skip
SORTED = [
    ("(3 | 1 | 2).sort()", [1, 2, 3]), ("(3 | 1 | 2).sort(-$this)", [3, 2, 1]), ("('b' | 'a').sort()", ["a", "b"]),
    ("telecom.sort(rank).value", ["a", "b", "c"]), ("telecom.sort(-rank).value", ["c", "b", "a"]), ("{}.sort()", E),
    ("name.sort(family, -given.first()).use", ["official", "usual"]), ("('a' | 'b').sort(-$this)", ["b", "a"]),
]  # fmt: skip


ALL = TYPES + BOUNDS + CONVERTED + MEMBERS + UNITS + DATES + TEXT + NUMBERS + SORTED


@pytest.mark.parametrize(("expression", "expected"), ALL)
def test_an_expression_has_the_result_its_specification_says(expression: str, expected: list[Any]) -> None:
    assert fhirpath.compile(expression, "Patient").evaluate(PATIENT) == expected


MEASURED: dict[str, Any] = {
    "resourceType": "Observation", "status": "final", "effectiveDateTime": "2000-02-29",
    "valueQuantity": {"value": 20, "unit": "years", "system": "http://unitsofmeasure.org", "code": "a"},
    "code": {"id": "1", "text": "x", "coding": [
        {"system": "urn:a", "code": "b", "display": "one", "version": "1"}, {"system": "urn:a", "code": "c"}]},
    "category": [
        {"id": "2", "coding": [{"id": "3", "system": "urn:a", "code": "b", "display": "two"}]},
        {"coding": [{"system": "urn:a", "code": "B"}, {"code": "b"}]}, {"text": "Only text"}, {"text": "only TEXT"}],
    "component": [
        {"id": "p", "code": {"coding": [{"system": "urn:a", "code": "b"}, {"system": "urn:d", "code": "e"}]}},
        {"id": "q", "code": {"coding": [{"system": "urn:a", "code": "b", "userSelected": True}]}},
        {"code": {"coding": [{"system": "urn:a", "code": "z"}]}}],
}  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), [
    ("code.coding[0] ~ category[0].coding", T), ("code.coding[0] = category[0].coding", F),
    ("code ~ category[0]", T), ("code ~ category[1]", F), ("code = category[0]", F), ("category[2] ~ category[3]", T),
    ("category[2] ~ code", F), ("component[0] ~ component[1]", T), ("component[0] ~ component[2]", F),
    ("component[0] !~ component[1]", F), ("component ~ component[2]", F), ("%resource ~ %resource", T),
    ("children().where($this ~ %resource.category[0]).count()", [2]),
    ("value > 18 years", T), ("value = 240 months", T), ("value > 18 'a'", T), ("value ~ 20 years", T),
    ("value != 20 years", F), ("(effective + value).toString()", ["2020-02-29"]), ("20 'a' = 20 years", E),
    ("(effective - value).toString()", ["1980-02-29"]),
])  # fmt: skip
def test_r4_says_of_its_types_what_they_are_equivalent_to(expression: str, expected: list[Any]) -> None:
    """https://hl7.org/fhir/R4/fhirpath.html#changes, https://hl7.org/fhir/R4/fhirpath.html#quantity"""
    assert fhirpath.compile(expression, "Observation").evaluate(MEASURED, resource=MEASURED) == expected


@pytest.mark.parametrize(
    "expression",
    ["name.given1", "Encounter.name", "name.where(giveb = 'x')", "children().skip(1)", "descendants().first()",
     "children()[0]", "(multipleBirth as Period).unit", "iif('text', 1, 2)", "name.family.nothing",
     "valueQuantity.exists()", "contact.name.select(familie)"],
)  # fmt: skip
def test_strict_evaluation_refuses_what_cannot_be_meant(expression: str) -> None:
    with pytest.raises(FhirPathSemanticError):
        fhirpath.compile(expression, "Patient", strict=True)
    fhirpath.compile(expression, "Patient")


@pytest.mark.parametrize(
    "expression",
    ["name.given", "Patient.name.where(use = 'usual').given", "extension.value.code", "contained.name",
     "birthDate.extension",
     "Resource.id", "multipleBirth", "iif(active, 1, 2)", "name.first()", "extension.value.ofType(Quantity).value"],
)  # fmt: skip
def test_strict_evaluation_takes_what_is_right(expression: str) -> None:
    fhirpath.compile(expression, "Patient", strict=True)


def test_items_tell_their_types_and_extensions() -> None:
    items = fhirpath.compile("birthDate | gender | 1 | name.first()", "Patient").items(PATIENT)
    assert [item.type for item in items] == ["date", "code", "System.Integer", "HumanName"]
    assert items[0].extra == PATIENT["_birthDate"]


def test_trace_tells_only_the_one_who_watches() -> None:
    heard: list[tuple[str, list[Any], str | None]] = []
    compiled = fhirpath.compile("name.trace('n', given.count()).family", "Patient")
    assert compiled.evaluate(PATIENT) == ["Chalmers"]
    watch = Watch(5, 1000, lambda name, items, kind: heard.append((name, items, kind)))
    assert [item.value for item in compiled.items(PATIENT, watch=watch)] == ["Chalmers"]
    assert heard == [("n", [2, 1], "System.Integer")]


@pytest.mark.parametrize(
    "expression",
    [
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'.matches('^(a|a)*$')",
        "('a' & 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac').replaceMatches('(a|aa)+$', 'x')",
        "descendants().select(%resource.descendants().select(%resource.descendants().select(%resource.descendants())))",
        "%resource.descendants().aggregate($total.combine($total), 1)",
        "repeat($this | (1 | 2).select($this & name.given.first()))",
        "%resource.descendants().aggregate($total & $total, 'ab')",
        "name.given.join('x').replace('', '" + "y" * 40_000 + "').replace('y', '" + "z" * 900 + "')",
        "%resource.descendants().aggregate($total * $total, 12345)", "2.power(1000000)", "10.0.power(999999).ceiling()",
        "%resource.descendants().aggregate($total * $total, 12345.678)", "'ab'" + ".encode('hex')" * 40,
        "(1 'm')" + ".select($this * $this)" * 40, "(1 'm')" + ".select($this / (1 's' / $this))" * 40,
        "%many.exists((%many ~ %many).not())", "%many.all(%many.select($this).count() > 0)", "%many ~ %many",
    ],
)  # fmt: skip
def test_a_hostile_expression_is_ended(expression: str) -> None:
    started = time.monotonic()
    with pytest.raises(FhirPathError):
        fhirpath.compile(expression, "Patient").items(
            PATIENT, watch=Watch(0.3, 20_000), variables={"many": [f"text {at}" for at in range(5_000)]}
        )
    assert time.monotonic() - started < 30, "it has 0.3 s, and one regular expression 0.5 s"


def test_a_watch_ends_what_takes_too_long_or_finds_too_much() -> None:
    slow = Watch(0.0, 10**9)
    with pytest.raises(FhirPathLimit, match="longer than 0 s"):
        slow.spend(1)
    with pytest.raises(FhirPathLimit, match="more than 100 items"):
        Watch(60, 100).spend(1000)
