"""Observation/$stats: https://hl7.org/fhir/R4/observation-operation-stats.html"""

import pytest

from tests.builders import observation, parameters, patient

L = "http://loinc.org"
RATE = f"code=8867-4&system={L}"


@pytest.fixture
def person(fhir):
    return f"Patient/{fhir.create(patient())['id']}"


def statistics(answer):
    """{code: {statistic: (value, unit)}}; None where there is no value."""
    assert answer.status == 200, answer.content
    found = {}
    for row in answer.json["parameter"]:
        if row["name"] == "statistics":
            one = row["resource"]
            assert one["status"] == "final"
            values = found[one["code"]["coding"][0]["code"]] = {}
            for part in one["component"]:
                name = part["code"].get("text", part["code"]["coding"][0]["code"])
                quantity = part.get("valueQuantity")
                assert (quantity is None) == ("dataAbsentReason" in part)
                values[name] = quantity and (quantity["value"], quantity["code"])
    return found


def ask(fhir, person, names, more="", code=RATE):
    chosen = "&".join(f"statistic={name}" for name in names.split())
    return statistics(fhir.get(f"Observation/$stats?subject={person}&{code}&{chosen}{more}"))


def quantity(value, code="mg/dL"):
    return {"value": value, "unit": code, "system": "http://unitsofmeasure.org", "code": code}


@pytest.mark.proves("operation:Observation/$stats")
def test_every_statistic_has_its_value(fhir, person):
    for day, value in enumerate([2, 4, 4, 4, 5, 5, 7, 9], 1):
        fhir.create(observation(person, value, effectiveDateTime=f"2024-01-0{day}T00:00:00Z"))
    names = ("average maximum minimum count total-count median std-dev sum variance 20-percent 80-percent 4-lower "
             "4-upper 4-dev 5-1 5-2 5-3 5-4 skew kurtosis")  # fmt: skip
    found = ask(fhir, person, names)["8867-4"]
    unit = "/min"
    assert {name: row[0] for name, row in found.items()} == pytest.approx({
        "average": 5, "maximum": 9, "minimum": 2, "count": 8, "total-count": 8, "median": 4.5, "std-dev": 2.13808993529,
        "sum": 40, "variance": 4.57142857143, "20-percent": 4, "80-percent": 6.2, "4-lower": 4, "4-upper": 5.5,
        "4-dev": 0.75, "5-1": 4, "5-2": 4, "5-3": 5, "5-4": 6.2, "skew": 0.65625, "kurtosis": 2.78125,
    })  # fmt: skip
    assert ask(fhir, person, "max,min,count")["8867-4"].keys() == {"maximum", "minimum", "count"}
    assert (found["average"][1], found["variance"][1], found["count"][1]) == (unit, "(/min)2", "1")
    line = ask(fhir, person, "regression")["8867-4"]
    assert line["gradient"] == (pytest.approx(0.809523809524), "/min/d")
    assert line["intercept"] == (pytest.approx(2.16666666667), unit)


def test_the_answer_names_what_was_asked_and_its_sources(fhir, person):
    made = [fhir.create(observation(person, value, effectiveDateTime=f"2024-01-0{value}"))["id"] for value in (1, 2, 3)]
    url = f"Observation/$stats?subject={person}&{RATE}&statistic=max&statistic=min&include=true"
    answer = fhir.get(f"{url}&limit=2")
    (one,) = [row["resource"] for row in answer.json["parameter"] if row["name"] == "statistics"]
    assert one["subject"] == {"reference": person}
    assert one["effectivePeriod"] == {"start": "2024-01-01T00:00:00.000Z", "end": "2024-01-03T00:00:00.000Z"}
    assert one["code"] == {"coding": [{"system": L, "code": "8867-4"}]}
    sources = [row["resource"]["id"] for row in answer.json["parameter"] if row["name"] == "source"]
    assert sources == [made[2], made[1]], "the most recent ones"
    assert len(fhir.get(url).json["parameter"]) == 4
    assert len(fhir.get(url.replace("include=true", "limit=1")).json["parameter"]) == 1


def test_period_and_duration_choose_measurements(fhir, person, clock):
    for when, value in (("2025-12-31T22:30:00Z", 1), ("2025-12-31T23:30:00Z", 2), ("2025-12-30", 4)):
        fhir.create(observation(person, value, effectiveDateTime=when))
    assert ask(fhir, person, "sum", "&duration=1")["8867-4"] == {"sum": (2, "/min")}
    assert ask(fhir, person, "sum", "&duration=1.75")["8867-4"] == {"sum": (3, "/min")}
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "subject", "valueUri": f"http://localhost/fhir/{person}"},
        {"name": "coding", "valueCoding": {"system": L, "code": "8867-4", "display": "Heart rate"}},
        {"name": "period", "valuePeriod": {"start": "2025-12-31T23:00:00Z", "end": "2026-01"}},
        {"name": "statistic", "valueCode": "sum"},
    ]}  # fmt: skip
    answer = fhir.post("Observation/$stats", body)
    assert statistics(answer) == {"8867-4": {"sum": (2, "/min")}}
    assert answer.json["parameter"][0]["resource"]["effectivePeriod"]["end"] == "2026-01"
    assert answer.json["parameter"][0]["resource"]["code"]["coding"][0]["display"] == "Heart rate"


def test_only_valid_measurements_count(fhir, person):
    fhir.create(observation(person, 1))
    fhir.create(observation(person, 100, status="entered-in-error"))
    invalid = [
        {"valueQuantity": {"value": 2, "unit": "beats"}},
        {"valueQuantity": {**quantity(3, "/min"), "comparator": "<"}},
        {"valueString": "4"},
        {"valueQuantity": quantity(5, "/min"), "modifierExtension": [{"url": "http://e.org/x", "valueCode": "y"}]},
    ]  # fmt: skip
    for more in invalid:
        resource = observation(person)
        del resource["valueQuantity"]
        fhir.create({**resource, **more})
    assert ask(fhir, person, "sum count total-count")["8867-4"] == {
        "sum": (1, "/min"), "count": (1, "1"), "total-count": (5, "1")}
    assert ask(fhir, person, "count average std-dev skew regression", code=f"code=none&system={L}")["none"] == {
        "count": (0, "1"), "average": None, "std-dev": None, "skew": None, "gradient": None, "intercept": None}


def test_units_are_converted_where_they_can_be_and_never_mixed(fhir, person):
    fhir.create(observation(person, code="g", valueQuantity=quantity(1, "g/L"), effectiveDateTime="2024-01-01"))
    fhir.create(observation(person, code="g", valueQuantity=quantity(50, "mg/dL"), effectiveDateTime="2024-01-02"))
    fhir.create(observation(person, code="t", valueQuantity=quantity(37, "Cel"), effectiveDateTime="2024-01-02"))
    fhir.create(observation(person, code="t", valueQuantity=quantity(98.6, "[degF]"), effectiveDateTime="2024-01-01"))
    assert ask(fhir, person, "sum", code=f"code=g&system={L}")["g"] == {"sum": (150, "mg/dL")}
    assert ask(fhir, person, "max", code=f"code=t&system={L}")["t"] == {"maximum": (37, "Cel")}
    fhir.create(observation(person, code="g", valueQuantity=quantity(5, "mmol/L")))
    url = f"Observation/$stats?subject={person}&code=g&system={L}&statistic=sum"
    fhir.get(url).refused(422, "processing", "code", "mmol/L")


def test_a_panel_is_its_parts_and_a_part_is_found_by_its_own_code(fhir, person):
    def part(code, value):
        return {"code": {"coding": [{"system": L, "code": code}]}, "valueQuantity": quantity(value, "mm[Hg]")}

    for high in (120, 130):
        resource = observation(person, code="85354-9", component=[part("8480-6", high), part("8462-4", 80)])
        del resource["valueQuantity"]
        fhir.create(resource)
    single = fhir.create(observation(person, code="8480-6", valueQuantity=quantity(140, "mm[Hg]")))["id"]
    theirs = f"Patient/{fhir.create(patient())['id']}"
    other = fhir.create(observation(theirs, code="8480-6", valueQuantity=quantity(999, "mm[Hg]")))["id"]
    panel = observation(person, code="85354-9",
                        hasMember=[{"reference": f"Observation/{id_}"} for id_ in (single, other)])
    del panel["valueQuantity"]
    fhir.create(panel)
    assert ask(fhir, person, "max count", code=f"code=8480-6&system={L}") == {
        "8480-6": {"maximum": (140, "mm[Hg]"), "count": (3, "1")}}
    whole = {"8480-6": {"sum": (390, "mm[Hg]")}, "8462-4": {"sum": (160, "mm[Hg]")}}
    assert ask(fhir, person, "sum", code=f"code=85354-9&system={L}") == whole
    both = ask(fhir, person, "sum", code=f"code=85354-9&code=8480-6&system={L}")
    assert both == whole, "what is found twice counts once"


def test_a_measurement_whose_subject_is_a_version_counts(fhir, person):
    fhir.create(observation(f"{person}/_history/1", 60))
    fhir.create(observation(f"http://elsewhere.org/fhir/{person}", 900))
    fhir.create(observation(person, 70))
    assert ask(fhir, person, "sum")["8867-4"]["sum"][0] == 130


def test_only_what_the_token_may_search_is_counted(client, fhir, person):
    fhir.create(observation(person, 1))
    fhir.create(observation(person, 100, status="preliminary"))
    assert ask(client("system/Observation.rs?status=final"), person, "sum")["8867-4"] == {"sum": (1, "/min")}
    url = f"Observation/$stats?subject={person}&{RATE}&statistic=sum"
    client("system/Patient.rs").get(url).refused(403, "forbidden")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("query", "expression"), [
    (f"{RATE}&statistic=sum", "subject"),
    ("subject=Patient/1&statistic=sum", "code"),
    ("subject=Patient/1&code=8867-4&statistic=sum", "system"),
    (f"subject=Patient/1&{RATE}", "statistic"),
    (f"subject=Patient/1&{RATE}&statistic=mode", "statistic"),
    (f"subject=Patient/1&{RATE}&statistic=sum&duration=0", "duration"),
    (f"subject=Patient/1&{RATE}&statistic=sum&duration=NaN", "duration"),
    (f"subject=Patient/1&{RATE}&statistic=sum&duration=x", "duration"),
    (f"subject=Patient/1&{RATE}&statistic=sum&include=maybe", "include"),
    (f"subject=Patient/1&{RATE}&statistic=sum&include=true&limit=0", "limit"),
    (f"subject=Patient/1&{RATE}&statistic=sum&period=2020", "period"),
    ("subject=Patient/1&system=http://loinc.org&statistic=sum", "system"),
    ("subject=Patient/1&system=http://loinc.org&code=urn:x|8867-4&statistic=sum", "system"),
    (f"subject=Device-1/x/y&{RATE}&statistic=sum", "subject"),
    (f"subject=1&{RATE}&statistic=sum", "subject"),
    (f"subject=&{RATE}&statistic=sum", "subject"),
])  # fmt: skip
def test_what_cannot_be_answered_is_refused(fhir, query, expression):
    fhir.get(f"Observation/$stats?{query}").refused(400, "invalid", expression)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_limit_of_what_is_not_included_is_ignored_and_a_system_of_no_code_is_not(fhir, person):
    asked = f"Observation/$stats?subject={person}&{RATE}&statistic=count&limit=0"
    for url in (asked, f"{asked}&include=false"):
        assert fhir.get(url).status == 200
    of_coding = parameters(subject=("Uri", person), statistic=("Code", "count"), system=("Uri", "http://loinc.org"))
    of_coding["parameter"].append({"name": "coding", "valueCoding": {"system": "http://loinc.org", "code": "8867-4"}})
    fhir.post("Observation/$stats", of_coding).refused(400, "invalid", "system", "code")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_extreme_numbers_do_no_harm(fhir, person):
    for value in (1e308, 1.5e308, -1e308):
        fhir.create(observation(person, value))
    found = ask(fhir, person, "sum average variance std-dev skew kurtosis count")["8867-4"]
    assert found["count"] == (3, "1")
    assert found["variance"] is None
