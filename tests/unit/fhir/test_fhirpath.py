"""FHIRPath by the statements of its specification: https://hl7.org/fhirpath/N1/"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hie.fhir import fhirpath
from hie.fhir.fhirpath import FhirPathError, FhirPathSyntaxError, FhirPathUnsupported, Moment

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "name": [
        {"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
        {"use": "usual", "given": ["Jim"]},
        {"use": "maiden", "family": "Windsor", "given": ["Peter", "James"], "period": {"end": "2002"}},
    ],
    "birthDate": "1974-12-25",
    "_birthDate": {
        "id": "b",
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                "valueDateTime": "1974-12-25T14:35:45-05:00",
            }
        ],
    },
    "deceasedBoolean": False,
    "telecom": [{"system": "phone", "value": "1", "rank": 1}, {"system": "email", "value": "2", "rank": 2}],
    "contact": [{"name": {"family": "du Marché", "_family": {"extension": [{"url": "prefix", "valueString": "VV"}]}}}],
    "managingOrganization": {"reference": "#o"},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Acme"}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "subject": {"reference": "Patient/example"},
    "valueQuantity": {"value": Decimal("185"), "unit": "lbs", "system": "http://unitsofmeasure.org", "code": "[lb_av]"},
    "component": [{"code": {"text": "a"}, "valueString": "x"}, {"code": {"text": "b"}, "valueInteger": 3}],
}


def on_patient(expression: str) -> list[Any]:
    return fhirpath.compile(expression, "Patient").evaluate(PATIENT)


def on_observation(expression: str) -> list[Any]:
    return fhirpath.compile(expression, "Observation").evaluate(OBSERVATION)


T, F, E = [True], [False], []  # type: ignore[var-annotated]

PATHS = [
    ("name.given", ["Peter", "James", "Jim", "Peter", "James"]),
    ("Patient.name.family", ["Chalmers", "Windsor"]),
    ("Observation.status", E),
    ("Resource.id", ["p"]),
    ("`name`.`use`", ["official", "usual", "maiden"]),
    ("name[0].given[1]", ["James"]),
    ("name[7]", E),
    ("name.where(use = 'usual').given", ["Jim"]),
    ("nonsense", E),
    ("name.nonsense.family", E),
    ("$this.id", ["p"]),
    ("name.select($this.use)", ["official", "usual", "maiden"]),
    ("name.select($index)", [0, 1, 2]),
    ("deceased", F),
    ("birthDate.extension.url", ["http://hl7.org/fhir/StructureDefinition/patient-birthTime"]),
    ("birthDate.extension('http://hl7.org/fhir/StructureDefinition/patient-birthTime').exists()", T),
    ("birthDate.id", ["b"]),
    ("contact.name.family.extension('prefix').value", ["VV"]),
    ("contact.name.family", ["du Marché"]),
    ("contained.name", ["Acme"]),
    ("managingOrganization.resolve().name", ["Acme"]),
    ("name.hasExtension('x')", F),
    ("contact.name.family.hasExtension('prefix')", T),
]
BOOLEANS = [
    # The truth tables of https://hl7.org/fhirpath/N1/#boolean-logic
    ("true and true", T), ("true and false", F), ("true and {}", E),
    ("false and true", F), ("false and false", F), ("false and {}", F),
    ("{} and true", E), ("{} and false", F), ("{} and {}", E),
    ("true or true", T), ("true or false", T), ("true or {}", T),
    ("false or true", T), ("false or false", F), ("false or {}", E),
    ("{} or true", T), ("{} or false", E), ("{} or {}", E),
    ("true xor true", F), ("true xor false", T), ("true xor {}", E),
    ("false xor true", T), ("false xor false", F), ("false xor {}", E),
    ("{} xor true", E), ("{} xor false", E), ("{} xor {}", E),
    ("true implies true", T), ("true implies false", F), ("true implies {}", E),
    ("false implies true", T), ("false implies false", T), ("false implies {}", T),
    ("{} implies true", T), ("{} implies false", E), ("{} implies {}", E),
    ("true.not()", F), ("false.not()", T), ("{}.not()", E),
    ("active and name.first().use = 'official'", T),
    # One item of another type counts as true: singleton evaluation.
    ("id and true", T),
]  # fmt: skip
EXISTENCE = [
    ("{}.empty()", T), ("name.empty()", F), ("{}.exists()", F), ("name.exists()", T),
    ("name.exists(use = 'usual')", T), ("name.exists(use = 'temp')", F),
    ("name.all(given.exists())", T), ("name.all(family.exists())", F), ("{}.all(false)", T),
    ("{}.allTrue()", T), ("(true | false).allTrue()", F), ("(true | false).anyTrue()", T), ("{}.anyTrue()", F),
    ("{}.allFalse()", T), ("false.allFalse()", T), ("(true | false).anyFalse()", T), ("{}.anyFalse()", F),
    ("name.given.subsetOf(name.given)", T), ("name.given.subsetOf(name[0].given)", F), ("{}.subsetOf(name)", T),
    ("name.given.supersetOf(name[0].given)", T), ("name.supersetOf({})", T),
    ("name.count()", [3]), ("{}.count()", [0]),
    ("name.given.distinct()", ["Peter", "James", "Jim"]), ("name.given.isDistinct()", F), ("name.use.isDistinct()", T),
    ("birthDate.hasValue()", T), ("name.hasValue()", F), ("{}.hasValue()", F),
]  # fmt: skip
CHOOSING = [
    ("name.given.first()", ["Peter"]), ("name.given.last()", ["James"]), ("name.given.tail().count()", [4]),
    ("name.given.skip(3)", ["Peter", "James"]), ("name.given.skip(9)", E), ("name.given.skip(-1).count()", [5]),
    ("name.given.take(2)", ["Peter", "James"]), ("name.given.take(0)", E), ("{}.first()", E), ("id.single()", ["p"]),
    ("name.given.intersect(name[1].given)", ["Jim"]), ("name.given.intersect('Peter' | 'x')", ["Peter"]),
    ("name.given.exclude(name[1].given)", ["Peter", "James", "Peter", "James"]),
    ("name.given | name.use", ["Peter", "James", "Jim", "official", "usual", "maiden"]),
    ("name.given.union(name.given)", ["Peter", "James", "Jim"]), ("name.given.combine(name.given).count()", [10]),
    ("name.repeat(period).count()", [1]), ("contained.ofType(Organization).name", ["Acme"]),
    ("contained.ofType(Patient)", E),
    ("telecom.rank.aggregate($total + $this, 0)", [3]), ("iif(active, 'y', 'n')", ["y"]), ("iif({}, 1, 2)", [2]),
    ("iif(false, 1)", E),
    ("children().count()", [12]), ("descendants().where($this is Period).end", ["2002"]),
    ("descendants().as(uri)", ["http://hl7.org/fhir/StructureDefinition/patient-birthTime", "prefix"]),
]  # fmt: skip
EQUALITY = [
    ("1 = 1", T), ("1 = 1.0", T), ("1 = 2", F), ("1 = {}", E), ("{} = {}", E), ("'a' = 'A'", F), ("1 = '1'", F),
    ("true = 1", F), ("1 != 2", T), ("{} != 1", E), ("(1 | 2) = (1 | 2)", T), ("(1 | 2) = (2 | 1)", F),
    ("(1 | 2) = 1", F),
    ("name[0] = name[0]", T), ("name[0] = name[1]", F),
    ("@2012 = @2012", T), ("@2012-01 = @2012", E), ("@2012 = @2013-01", F), ("@2012-01-01 = @2012-01-02", F),
    ("@2012-01-01T10:30:00.0 = @2012-01-01T10:30:00", T), ("@2012-01-01T10:30 = @2012-01-01T10:30:00", E),
    ("@2017-11-05T01:30:00.0-04:00 = @2017-11-05T00:30:00.0-05:00", T), ("@T14:34:28 = @T14:34:28.0", T),
    ("4 'mg' = 0.004 'g'", T), ("4 'mg' = 4 's'", E), ("1 week = 7 days", T), ("1 year = 12 months", T),
    ("birthDate = @1974-12-25", T), ("birthDate = '1974-12-25'", T),
    ("'abc' ~ 'ABC'", T), ("'a  b' ~ 'A b'", T), ("1.0 ~ 1", T), ("1.04 ~ 1.0", T), ("1.2 ~ 1.0", F), ("{} ~ {}", T),
    ("1 ~ {}", F), ("(1 | 2) ~ (2 | 1)", T), ("@2012 ~ @2012-01", F), ("'a' !~ 'b'", T),
]  # fmt: skip
COMPARISON = [
    ("1 < 2", T), ("1 > 2", F), ("2 <= 2", T), ("1.5 >= 1", T), ("'a' < 'b'", T), ("'B' < 'a'", T), ("1 < {}", E),
    ("@2018-03-01 > @2018-01-01", T), ("@2018-03 > @2018-03-01", E), ("@2018-03 > @2018-02-01", T),
    ("@2018-03-01T10:30 > @2018-03-01T10:30:00", E), ("@2018-03-01T10:30:00 > @2018-03-01T10:30:00.0", F),
    ("@T10:30:00 > @T10:00:00", T), ("@T10 > @T10:30", E), ("10 'mg' < 1 'g'", T), ("10 'mg' < 1 's'", E),
    ("@2018-01-01T10:00:00 < @2018-01-01T12:00:00Z", E), ("@2018-01-01T10:00:00 < @2018-01-02T12:00:00Z", T),
    ("birthDate < today()", T), ("now() = now()", T), ("today() <= now()", E),
    ("1 in (1 | 2)", T), ("3 in (1 | 2)", F), ("{} in (1 | 2)", E), ("1 in {}", F), ("(1 | 2) contains 2", T),
    ("{} contains 1", F), ("(1 | 2) contains {}", E),
]  # fmt: skip
ARITHMETIC = [
    ("1 + 2", [3]), ("1 + 2 * 3", [7]), ("(1 + 2) * 3", [9]), ("7 div 2", [3]), ("7 mod 2", [1]), ("-7 div 2", [-3]),
    ("6 / 3", [Decimal(2)]), ("1 / 0", E), ("1 div 0", E), ("1 mod 0", E), ("1 + {}", E), ("'a' + 'b'", ["ab"]),
    ("'a' + {}", E), ("'a' & {}", ["a"]), ("{} & {}", [""]), ("-3.abs()", [-3]), ("(-3).abs()", [3]),
    ("1.1 + 2.2", [Decimal("3.3")]), ("2.power(3)", [8]), ("9.sqrt()", [Decimal(3)]), ("(-1).sqrt()", E),
    ("1.5.ceiling()", [2]), ("(-1.5).floor()", [-2]), ("(-1.56).truncate()", [-1]),
    ("3.14159.round(3)", [Decimal("3.142")]),
    ("100.log(10)", [Decimal(2)]), ("0.exp()", [Decimal(1)]), ("1.ln()", [Decimal(0)]), ("true and 1 + 1 = 2", T),
    ("1 | 2 + 3", [1, 5]), ("(1 > 2) is Boolean", T), ("-1 + 2", [1]),
]  # fmt: skip
STRINGS = [
    ("'abcdefg'.indexOf('bc')", [1]), ("'abcdefg'.indexOf('x')", [-1]), ("'abc'.indexOf('')", [0]),
    ("'abcdefg'.substring(3)", ["defg"]), ("'abcdefg'.substring(1, 2)", ["bc"]), ("'abcdefg'.substring(6, 2)", ["g"]),
    ("'abcdefg'.substring(7, 1)", E), ("'abc'.substring(-1)", E), ("{}.substring(1)", E),
    ("'abc'.startsWith('ab')", T), ("'abc'.startsWith('')", T), ("{}.startsWith('a')", E), ("'abc'.endsWith('bc')", T),
    ("'abc'.contains('b')", T), ("'abc'.contains('x')", F), ("'abc'.upper()", ["ABC"]), ("'ABC'.lower()", ["abc"]),
    ("'abcdefg'.replace('cde', '123')", ["ab123fg"]), ("'abc'.replace('', 'x')", ["xaxbxcx"]),
    ("'http://x/Library|4'.matches('Library')", T), ("'abc'.matches('^b')", F), ("{}.matches('a')", E),
    ("'abc'.matchesFull('b')", F),
    ("'11/30/1972'.replaceMatches('([0-9]+)/([0-9]+)/([0-9]+)', '$2-$1-$3')", ["30-11-1972"]),
    ("'abcdefg'.length()", [7]), ("'abc'.toChars()", ["a", "b", "c"]), ("' a '.trim()", ["a"]),
    ("'a,b'.split(',')", ["a", "b"]),
    ("name[0].given.join('-')", ["Peter-James"]), (r"'a\'\u0041\\'", ["a'A\\"]),
]  # fmt: skip
CONVERSION = [
    ("'true'.toBoolean()", T), ("'N'.toBoolean()", F), ("2.toBoolean()", E), ("1.toBoolean()", T),
    ("'1'.toInteger()", [1]), ("'1.5'.toInteger()", E), ("true.toInteger()", [1]), ("'x'.toInteger()", E),
    ("'1.50'.toDecimal()", [Decimal("1.50")]), ("1.toString()", ["1"]), ("true.toString()", ["true"]),
    ("@2012-01.toString()", ["2012-01"]), ("'2012-13'.convertsToDate()", F), ("'2012-12'.convertsToDate()", T),
    ("'10:30'.convertsToTime()", T), ("'25:00'.convertsToTime()", F), ("'4 days'.convertsToQuantity()", T),
    ("'4 \\'mg\\''.toQuantity() = 4 'mg'", T), ("'x'.convertsToInteger()", F), ("{}.convertsToInteger()", E),
    ("'2012-01-01T10:00:00Z'.toDate() = @2012-01-01", T), ("'2012'.toDateTime() = @2012T", T),
    ("'a'.encode('hex')", ["61"]), ("'YQ=='.decode('base64')", ["a"]),
]  # fmt: skip
TYPES = [
    ("active is boolean", T), ("active is Boolean", F), ("active is System.Boolean", F), ("true is Boolean", T),
    ("active is FHIR.boolean", T), ("1 is Integer", T), ("1 is Decimal", F), ("'a' is String", T), ("id is id", T),
    ("name.first() is HumanName", T), ("name.first() is Element", T), ("$this is Patient", T), ("$this is Resource", T),
    ("$this is Observation", F), ("deceased is boolean", T), ("deceased is dateTime", F), ("{} is Patient", E),
    ("deceased as boolean", F), ("deceased as dateTime", E), ("name.given.ofType(string).count()", [5]),
    ("birthDate is date", T), ("@2012 is Date", T), ("@2012T is DateTime", T), ("4 'mg' is Quantity", T),
    ("contained.first() is Organization", T), ("conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')", T),
    ("conformsTo('http://hl7.org/fhir/StructureDefinition/Observation')", F),
    ("name[0].use.memberOf('http://hl7.org/fhir/ValueSet/name-use')", T),
    ("managingOrganization.resolve() is Organization", T), ("managingOrganization.resolve().is(Patient)", F),
]  # fmt: skip
VARIABLES = [
    ("%resource.id", ["p"]), ("%context.id", ["p"]), ("%rootResource.id", ["p"]),
    ("%ucum", ["http://unitsofmeasure.org"]), ("%sct", ["http://snomed.info/sct"]), ("%loinc", ["http://loinc.org"]),
    ("%`vs-name-use`", ["http://hl7.org/fhir/ValueSet/name-use"]),
    ("%\"ext-patient-birthTime\"", ["http://hl7.org/fhir/StructureDefinition/patient-birthTime"]),
    ("name.where(%resource.active).count()", [3]),
    ("name.trace('x').trace('y', given).count()", [3]), ("1 // a comment\n + /* and */ 1", [2]),
]  # fmt: skip
TABLE = [
    *PATHS, *BOOLEANS, *EXISTENCE, *CHOOSING, *EQUALITY, *COMPARISON, *ARITHMETIC, *STRINGS, *CONVERSION, *TYPES,
    *VARIABLES,
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_an_expression_gives_what_the_specification_says(expression: str, expected: list[Any]) -> None:
    found = on_patient(expression)
    assert found == expected
    assert [type(item) for item in found] == [type(item) for item in expected]


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("@2012-01-31 + 1 month", "2012-02-29"),
        ("@2012-02-29 + 1 year", "2013-02-28"),
        ("@2012-01-01 - 1 day", "2011-12-31"),
        ("@2012 + 13 months", "2013"),
        ("@2012-01-01T10:00:00Z + 90 minutes", "2012-01-01T11:30:00Z"),
        ("@2012-01-01T10:00:00.000 + 5 milliseconds", "2012-01-01T10:00:00.005"),
        ("@T23:30:00 + 1 hour", "00:30:00"),
        ("birthDate + 1 week", "1975-01-01"),
    ],
)
def test_durations_move_dates_by_the_calendar(expression: str, written: str) -> None:
    (moment,) = on_patient(expression)
    assert isinstance(moment, Moment)
    assert moment.text == written


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("value.unit", ["lbs"]),
        ("value is Quantity", T),
        ("(value as Quantity).unit", ["lbs"]),
        ("value.as(Quantity).value > 100", T),
        ("value.ofType(string)", E),
        ("value > 100 '[lb_av]'", T),
        ("component.value", ["x", 3]),
        ("component.value.ofType(integer)", [3]),
        ("component.where(value is string).code.text", ["a"]),
        ("component.where($this.value = 3).code.text", ["b"]),
        ("subject.where(resolve() is Patient).exists()", T),
        ("subject.where(resolve() is Group).exists()", F),
        ("status.memberOf('http://hl7.org/fhir/ValueSet/observation-status')", T),
        ("code.memberOf('http://hl7.org/fhir/ValueSet/observation-status')", F),
        ("value.unknown", E),
    ],
)
def test_choices_and_references_know_their_types(expression: str, expected: list[Any]) -> None:
    assert on_observation(expression) == expected


def test_a_content_reference_shares_the_element_it_names() -> None:
    questionnaire = {"resourceType": "Questionnaire", "item": [{"linkId": "1", "item": [{"linkId": "1.1"}]}]}
    compiled = fhirpath.compile("item.item.linkId", "Questionnaire")
    assert compiled.evaluate(questionnaire) == ["1.1"]
    repeated = fhirpath.compile("repeat(item).linkId", "Questionnaire")
    assert repeated.evaluate(questionnaire) == ["1", "1.1"]


def test_as_uri_takes_a_canonical() -> None:
    concept_map = {"resourceType": "ConceptMap", "sourceCanonical": "http://a"}
    assert fhirpath.compile("(ConceptMap.source as uri)", "ConceptMap").evaluate(concept_map) == ["http://a"]


def test_an_element_inside_a_resource_is_evaluated_in_its_own_terms() -> None:
    compiled = fhirpath.compile("low.exists() or high.exists() or text.exists()", "Observation.referenceRange")
    assert compiled.evaluate({"text": "x"}, resource=OBSERVATION) == T
    assert compiled.evaluate({"age": {}}, resource=OBSERVATION) == F
    same = fhirpath.compile("where(use = 'home').empty()", "Organization.address")
    assert same.evaluate({"use": "home"}) == F
    choice = fhirpath.compile("$this is Range implies low.exists()", "RiskAssessment.prediction.probability[x]")
    assert choice.evaluate({"high": {"value": 1}}) == F
    assert choice.evaluate(Decimal("0.5")) == T


def test_variables_of_the_caller_are_seen() -> None:
    compiled = fhirpath.compile("%a + %b.count()", "Patient")
    assert compiled.evaluate(PATIENT, variables={"a": 1, "b": [1, 2]}) == [3]
    with pytest.raises(FhirPathError, match="%a is not defined"):
        compiled.evaluate(PATIENT)


def test_a_condition_tells_true_false_and_undecided() -> None:
    condition = fhirpath.compile("birthDate < @1974-12", "Patient")
    assert condition.holds(PATIENT) is None
    assert fhirpath.compile("active", "Patient").holds(PATIENT) is True
    assert fhirpath.compile("name.empty()", "Patient").holds(PATIENT) is False


def test_an_expression_is_compiled_once() -> None:
    assert fhirpath.compile("name.given", "Patient") is fhirpath.compile("name.given", "Patient")


def test_answers_do_not_share_state() -> None:
    compiled = fhirpath.compile("true", "Patient")
    compiled.evaluate(PATIENT).clear()
    assert compiled.evaluate(PATIENT) == T


@pytest.mark.parametrize(
    ("expression", "position"),
    [("name.", 5), ("name given", 5), ("(name", 5), ("'x", 0), ("a and", 5), ("a[", 2), ("1 + * 2", 4), ("a ? b", 2),
     ("%", 0), ("@20", 0), ("f(a,)", 4), ("{1}", 1), ("", 0), ("--1", 1), ("a.1", 2), ("(" * 200 + "1", 100),
     ("and", 0), ("1 + " + "9" * 5_000, 4), ("a[" + "9" * 39 + "]", 2)],
)  # fmt: skip
def test_what_is_no_fhirpath_is_refused_with_its_place(expression: str, position: int) -> None:
    with pytest.raises(FhirPathSyntaxError) as caught:
        fhirpath.compile(expression, "Patient")
    assert caught.value.position == position


def test_endless_expressions_are_refused() -> None:
    for expression in ("a." * 5000 + "a", "a" + "|a" * 5000, "a[0]" + "[0]" * 5000, "x" * 200_000, "not(" * 400):
        with pytest.raises(FhirPathSyntaxError):
            fhirpath.compile(expression, "Patient")


@pytest.mark.parametrize(
    "expression",
    ["elementDefinition()", "nothing()", "name.where()", "name.where(a, b)", "id is Nothing", "id is X.string",
     "memberOf(id)", "conformsTo('http://example.org/profile')", "id.matches('(')", "@2012-13 = 1",
     "subject.resolve() is string"],
)  # fmt: skip
def test_what_is_not_offered_is_refused_when_compiled(expression: str) -> None:
    with pytest.raises(FhirPathUnsupported):
        fhirpath.compile(expression, "Patient")


@pytest.mark.parametrize(
    "expression",
    ["@T10:00 + 1 day", "@T10:00 - 1 'wk'", "1000.exp()", "'a'.split(1)", "'a'.split(active)",
     "(2 'm')" + ".select($this * $this)" * 24, "(2 'm')" + ".select($this / 10000000000000)" * 12,
     "1.0" + ".select($this / 10000000000000)" * 12,
     "name.single()", "name and true", "1 < 'a'", "true > false", "true and (1 | 2)", "id + 1",
     "name.given.startsWith('a')", "name[id]", "1.startsWith('a')", "id.matches(id & '(a+)+')", "id.skip('1')",
     "@2012 + 1 'mg'", "name.given.allTrue()", "@9999-12-31 + 1 year", "2.power(100000000)", "1.5.round(1000)"],
)  # fmt: skip
def test_what_has_no_result_is_an_error_of_its_own_kind(expression: str) -> None:
    compiled = fhirpath.compile(expression, "Patient")
    with pytest.raises(FhirPathError):
        compiled.evaluate(PATIENT)


@pytest.mark.parametrize(
    "broken", [{"name": "x"}, {"name": [1, None, {"given": {"a": 1}}]}, {"birthDate": 5, "_birthDate": "x"}]
)
@pytest.mark.parametrize(
    "expression", ["name.given", "birthDate.extension.url", "descendants().count()", "name.where(use='a').given"]
)
def test_a_resource_of_the_wrong_structure_breaks_nothing(broken: dict[str, Any], expression: str) -> None:
    assert isinstance(fhirpath.compile(expression, "Patient").evaluate({"resourceType": "Patient", **broken}), list)
