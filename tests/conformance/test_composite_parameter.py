"""SearchParameter resources of type composite: https://hl7.org/fhir/R4/search.html#combining, docs/adr/0013"""

import pytest

from tests.builders import bundle, observation, patient, post

OWN = "http://hl7.org/fhir/SearchParameter/"
RACE = "http://example.org/race"
PARTS = "Observation.component"
LOINC = "http://loinc.org"


def component(url, expression):
    return {"definition": url if "://" in url else OWN + url, "expression": expression}


def composite(*components, code="pair", base="Observation", expression=PARTS, **more):
    return {
        "resourceType": "SearchParameter", "url": f"http://example.org/SearchParameter/{code}", "name": "Pair",
        "status": "active", "description": "A pair", "code": code, "base": [base], "type": "composite",
        "expression": expression, "component": [component(*one) for one in components], **more,
    }  # fmt: skip


def simple(code, kind, expression, base="Observation", **more):
    return {
        "resourceType": "SearchParameter", "url": f"http://example.org/SearchParameter/{code}", "name": "Simple",
        "status": "active", "description": "One", "code": code, "base": [base], "type": kind,
        "expression": expression, **more,
    }  # fmt: skip


def coded(code, system=LOINC):
    return {"coding": [{"system": system, "code": code}]}


def parts(*pairs, **more):
    """Return an Observation with components of a code and something else."""
    return observation(component=[{"code": coded(code), **value} for code, value in pairs], **more)


def ids(answer):
    assert answer.status == 200, answer.content
    return {one["id"] for one in answer.resources()}


def quantity(value, unit="mm[Hg]"):
    return {"valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": unit}}


def coding(code):
    return {"valueCodeableConcept": coded(code, "http://s")}


# What is in each of two components, the definition of the second component, the values found and not found.
CASES = [
    ("quantity", (quantity(120), quantity(80)), ("Observation-value-quantity", "value.as(Quantity)"),
     ["a$120", "a$gt100",
      f"{LOINC}|a$0.12|http://unitsofmeasure.org|m[Hg]", "x$1,a$120"], ["a$80", "b$120", "b$gt100"]),
    ("token", (coding("yes"), coding("no")),
     ("Observation-value-concept", "value.as(CodeableConcept)"),
     ["a$yes", f"{LOINC}|a$http://s|yes", "a$http://s|", f"{LOINC}|$yes"], ["a$no", "b$yes", "|a$yes", "a$http://s2|"]),
    ("date", ({"valueDateTime": "2024-03-01"}, {"valueDateTime": "2020"}),
     ("Observation-value-date", "value.as(dateTime)"), ["a$2024-03", "a$gt2023"], ["b$2024-03", "a$2020", "a$lt2021"]),
    ("string", ({"valueString": "Blue ball"}, {"valueString": "red"}),
     ("Observation-value-string", "value.as(string)"), ["a$blue", f"{LOINC}|a$BLUE%20b"], ["a$red", "b$blue"]),
    ("number", ({"valueInteger": 7}, {"valueInteger": 9}),
     ("RiskAssessment-probability", "value.as(integer)"), ["a$7", "a$lt8"], ["a$9", "a$gt8", "b$7"]),
]  # fmt: skip


@pytest.mark.proves("search:composite")
@pytest.mark.parametrize(("values", "second", "found", "not_found"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])
def test_pairs_of_one_element_are_found_once_all_resources_are_indexed(
    fhir, work, clean, client, values, second, found, not_found
):
    wanted = fhir.create(parts(("a", values[0]), ("b", values[1])))["id"]
    other = fhir.create(parts(("b", {}), status="amended"))["id"]
    made = fhir.create(composite(("clinical-code", "code"), second))["id"]
    fhir.get("Observation?pair=a$7").refused(400, "invalid", "pair", "still being indexed")
    during = fhir.create(parts(("a", values[0]), status="amended"))["id"]
    assert clean()
    work()
    assert clean()
    narrow = client("system/Observation.s?status=amended")
    for text in found:
        assert ids(fhir.get(f"Observation?pair={text}")) == {wanted, during}, text
        assert ids(narrow.get(f"Observation?pair={text}")) == {during}, text
    for text in not_found:
        assert ids(fhir.get(f"Observation?pair={text}")) == set(), text
    assert ids(fhir.get("Observation?pair:missing=true")) == {other}
    assert ids(fhir.get("Observation?pair:missing=false&status=final")) == {wanted}
    fhir.get("Observation?pair=a").refused(400, "invalid", "pair", "is written")
    then = fhir.get(f"Observation/{during}").json["meta"]["lastUpdated"]
    fhir.put(f"Observation/{during}", {**parts(("b", {})), "id": during})
    for text in found:
        assert ids(fhir.get(f"Observation?pair={text}")) == {wanted}, text
        assert ids(fhir.get(f"Observation?pair={text}&_asOf={then}")) == {wanted, during}, text
    fhir.delete(f"SearchParameter/{made}")
    fhir.get("Observation?pair=a$7").refused(400, "invalid", "pair", "has no search parameter")
    work()
    assert clean()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_contact_point_is_a_component_by_its_value_with_its_system_or_without(fhir, work, clean):
    wanted = fhir.create(patient(telecom=[{"system": "phone", "value": "5", "use": "home"},
                                          {"system": "fax", "value": "6", "use": "work"}]))["id"]  # fmt: skip
    fhir.create(composite(("individual-telecom", "($this)"), ("individual-address-use", "use"), base="Patient",
                          expression="Patient.telecom"))  # fmt: skip
    work()
    for text in ("5$home", "|5$home", "phone|5$home", "fax|$work", "1$home,|6$work"):
        assert ids(fhir.get(f"Patient?pair={text}")) == {wanted}, text
    for text in ("5$work", "|5$work", "fax|5$home", "phone|$work"):
        assert ids(fhir.get(f"Patient?pair={text}")) == set(), text
    fhir.get("Patient?pair=home|5$home").refused(400, "invalid", "pair", "phone, fax, email")
    assert clean()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_components_may_be_parameters_of_ones_own_and_lie_in_extensions(fhir, work, clean, client):
    def person(group, firm):
        said = [{"url": "group", "valueCode": group}, {"url": "payer", "valueReference": {"reference": firm}}]
        return patient(extension=[{"url": RACE, "extension": said}])

    firms = [f"Organization/{fhir.create({'resourceType': 'Organization', 'name': name})['id']}" for name in "ab"]
    first, second = (fhir.create(person(group, firm))["id"] for group, firm in zip("xy", firms, strict=True))
    group = simple("group", "token", f"Patient.extension('{RACE}').extension('group').value", "Patient")
    payer = simple("payer", "reference", f"Patient.extension('{RACE}').extension('payer').value", "Patient",
                   target=["Organization"])
    both = composite((group["url"], "extension('group').value"), (payer["url"], "extension('payer').value"),
                     base="Patient", expression=f"Patient.extension('{RACE}')")
    assert fhir.post("", bundle(post(both), post(group), post(payer))).status == 200, "in any order"
    work()
    assert ids(fhir.get(f"Patient?pair=x${firms[0]}")) == {first}
    assert ids(fhir.get(f"Patient?pair=y${firms[1].partition('/')[2]}")) == {second}
    assert fhir.total(f"Patient?pair=x${firms[1]}") == 0
    assert ids(client(f"system/Patient.s?pair=x${firms[0]}").get("Patient")) == {first}, "a condition of a scope"
    assert ids(fhir.get(f"Patient?_filter=pair eq x${firms[0]} or family eq none")) == {first}
    subject = fhir.create(observation(f"Patient/{first}"))["id"]
    assert ids(fhir.get(f"Observation?patient.pair=x${firms[0]}")) == {subject}
    assert fhir.total(f"Observation?patient.pair=y${firms[0]}") == 0
    for one in fhir.get("SearchParameter?code=group,payer").resources():
        fhir.delete(f"SearchParameter/{one['id']}")
    work()
    assert ids(fhir.get(f"Patient?pair=x${firms[0]}")) == {first}, "it says itself what it compares"
    assert ids(fhir.get(f"Patient?pair=|x${firms[0]}")) == {first}
    assert clean()


def test_other_components_under_the_same_code_leave_nothing_of_the_old_ones(fhir, work, clean, app):
    both = parts(("a", quantity(5)), method=coded("m"))
    first = fhir.create(both)["id"]
    made = fhir.create(composite(("clinical-code", "code"), ("Observation-value-quantity", "value.as(Quantity)")))["id"]
    work()
    assert fhir.total("Observation?pair=a$5") == 1
    anew = composite(("Observation-method", "method"), ("Observation-value-string", "code.text"),
                     expression="Observation", id=made)  # fmt: skip
    assert fhir.put(f"SearchParameter/{made}", anew).status == 200
    fhir.put(f"Observation/{first}", {**both, "id": first, "status": "amended"})
    second = fhir.create(both)["id"]
    assert clean()
    work()
    assert ids(fhir.get("Observation?pair=m$heart")) == {first, second}
    assert fhir.total("Observation?pair=a$5") == 0
    assert clean()


def test_a_component_is_not_looked_for_where_the_named_parameter_looks(fhir, work, clean):
    """`definition` says how a value is compared; where it lies is said by `expression` alone."""
    odd = fhir.create(observation(component=[{"code": coded("a"), "interpretation": [coded("H")], "valueString": "q"}]))
    fhir.create(composite(("Observation-method", "interpretation"), ("Observation-value-string", "value.as(string)")))
    work()
    assert ids(fhir.get("Observation?pair=H$q")) == {odd["id"]}
    assert fhir.total("Observation?pair=H$z") == 0
    assert clean()


VALUE = ("Observation-value-quantity", "value.as(Quantity)")
CODE = ("clinical-code", "code")
PLACE = "SearchParameter.component[1]"


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("made", "status", "code", "element", "told"), [
    (composite(CODE), 422, "processing", "SearchParameter.component", "has 1"),
    (composite(CODE, CODE, CODE, VALUE), 422, "processing", "SearchParameter.component", "has 4"),
    (composite(CODE, ("http://example.org/none", "value")), 422, "processing", f"{PLACE}.definition", "Component 2"),
    (composite(CODE, ("clinical-code|5.0.0", "code")), 422, "processing", f"{PLACE}.definition", "5.0.0"),
    (composite(CODE, ("Observation-code-value-date", "code")), 400,
     "not-supported", f"{PLACE}.definition", "type comp"),
    (composite(CODE, ("Location-near", "code")), 400, "not-supported", f"{PLACE}.definition", "special"),
    (composite(CODE, (VALUE[0], "code")), 422, "processing", f"{PLACE}.expression", "no quantity search"),
    (composite(CODE, (VALUE[0], "nothing")), 422, "processing", f"{PLACE}.expression", "leads to no element"),
    (composite(CODE, (VALUE[0], "value.")), 422, "processing", f"{PLACE}.expression", "cannot be used"),
    (composite(CODE, (VALUE[0], "value.first()")), 422, "processing", f"{PLACE}.expression", "is a path"),
    (composite(CODE, (CODE[0], "code.where(text.matches('(a+)+'))")), 422,
     "processing", f"{PLACE}.expression", "matches"),
    (composite(CODE, (CODE[0], "code | %resource.code")), 422, "processing", f"{PLACE}.expression", "%resource"),
    (composite(CODE, (CODE[0], "%resource.code"), expression="Observation.code"), 422, "processing",
     "SearchParameter.component[0].expression", "leads to no element"),
    (composite(("individual-family", "name.family"), ("individual-birthdate", "birthDate"), base="Patient",
               expression="Patient"), 422, "processing", f"{PLACE}.expression", "dates of birth"),
    (composite(CODE, VALUE, expression="Observation.status"), 422,
     "processing", "SearchParameter.expression", "no parts"),
    (composite(CODE, VALUE, expression="Observation.component.first()"), 422, "processing",
     "SearchParameter.expression", "is a path"),
    (composite(CODE, VALUE, expression="Observation.component."), 422, "processing", "SearchParameter.expression", ""),
    (composite(CODE, VALUE, code="code-value-date"), 422, "processing", "SearchParameter.code", "finds something else"),
    (composite(CODE, ("Observation-value-date", "value.as(Period)"), code="component-code-value-quantity"), 422,
     "processing", "SearchParameter.code", "finds something else"),
])  # fmt: skip
def test_what_cannot_be_a_composite_is_refused_and_says_which_component(fhir, made, status, code, element, told):
    fhir.post("SearchParameter", made).refused(status, code, element, told)
    assert fhir.total("SearchParameter") == 0
    assert fhir.post("SearchParameter", {**made, "status": "draft"}).status == 201, "a draft may be unfinished"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_copy_of_a_composite_of_r4_changes_nothing(fhir, work, client):
    fhir.create(composite(CODE, VALUE, code="component-code-value-quantity"))
    assert "parameter" not in client("admin").get("$reindex").json
    fhir.create(composite(("Observation-value-quantity|4.0.1", VALUE[1]), CODE))
    work()
    fhir.create(parts(("a", quantity(5))))
    assert fhir.total("Observation?pair=5$a") == 1
    narrow = client("system/Observation.s?pair=5$a")
    narrow.get("Observation").refused(403, "forbidden")  # the index alone cannot decide it
