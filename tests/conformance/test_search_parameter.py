"""SearchParameter resources become search parameters: https://hl7.org/fhir/R4/searchparameter.html, docs/adr/0013"""

import pytest

from tests.builders import bundle, observation, patient, post
from tests.conformance.eyes import EYES, codes, definition, eyed, ids


def test_a_parameter_is_searchable_when_all_resources_are_indexed_and_gone_when_deleted(fhir, work, clean):
    before = fhir.create(eyed("blue"))["id"]
    fhir.create(patient())
    fhir.get("Patient?eyes=blue").refused(400, "invalid", "eyes", "has no search parameter")
    made = fhir.create(definition())["id"]
    fhir.get("Patient?eyes=blue").refused(400, "invalid", "eyes", "still being indexed")
    fhir.get("Patient?eyes:missing=true").refused(400, "invalid", "eyes", "still being indexed")
    during = fhir.create(eyed("blue"))["id"]
    changed = fhir.create(eyed("brown"))["id"]
    fhir.put(f"Patient/{changed}", {**eyed("blue"), "id": changed})
    assert "eyes" not in codes(fhir)
    assert clean()

    work()
    assert ids(fhir.get("Patient?eyes=blue")) == {before, during, changed}
    assert fhir.total("Patient?eyes=brown") == 0
    assert fhir.total("Patient?eyes:missing=true") == 1
    assert fhir.total("Patient?eyes:missing=false&eyes:not=brown") == 3
    assert "eyes" in codes(fhir)
    assert clean()
    after = fhir.create(eyed("green"))["id"]
    assert ids(fhir.get("Patient?eyes=green,grey")) == {after}
    fhir.put(f"Patient/{after}", {**eyed("grey"), "id": after})
    fhir.delete(f"Patient/{before}")
    assert (fhir.total("Patient?eyes=green"), fhir.total("Patient?eyes=blue")) == (0, 2)

    fhir.delete(f"SearchParameter/{made}")
    fhir.get("Patient?eyes=blue").refused(400, "invalid", "eyes", "has no search parameter")
    assert "eyes" not in codes(fhir)
    fhir.put(f"Patient/{after}", {**eyed("red"), "id": after})
    assert clean()
    work()
    assert clean()
    again = fhir.create(definition())["id"]
    work()
    assert fhir.total("Patient?eyes=red") == 1
    assert again != made


def test_another_expression_is_indexed_anew_and_another_description_is_not(fhir, work, clean, app):
    colour = fhir.create(eyed("blue"))["id"]
    other = fhir.create(patient(extension=[{"url": EYES + "2", "valueCode": "blue"}]))["id"]
    made = fhir.create(definition())
    work()
    fhir.put(f"SearchParameter/{made['id']}", {**definition(description="Other words"), "id": made["id"]})
    assert ids(fhir.get("Patient?eyes=blue")) == {colour}
    fhir.put(f"SearchParameter/{made['id']}",
             {**definition(expression=f"Patient.extension('{EYES}2').value"), "id": made["id"]})
    fhir.get("Patient?eyes=blue").refused(400, "invalid", "eyes", "still being indexed")
    fhir.put(f"Patient/{colour}", {**eyed("blue", birthDate="1980-01-01"), "id": colour})
    assert clean()
    work()
    assert ids(fhir.get("Patient?eyes=blue")) == {other}
    assert clean()
    fhir.put(f"SearchParameter/{made['id']}", {**definition(status="retired"), "id": made["id"]})
    fhir.get("Patient?eyes=blue").refused(400, "invalid", "eyes", "has no search parameter")
    work()
    assert clean()


@pytest.mark.proves("search:date", "search:number", "search:quantity", "search:string", "search:uri", "search:token")
@pytest.mark.parametrize(("kind", "expression", "value", "searches"), [
    ("date", "Patient.extension('{}').value", {"valueDate": "2024-03-01"}, ["ge2024", "2024-03", "lt2025"]),
    ("number", "Patient.extension('{}').value", {"valueInteger": 7}, ["7", "gt6", "lt8"]),
    ("quantity", "Patient.extension('{}').value",
     {"valueQuantity": {"value": 5, "system": "http://unitsofmeasure.org", "code": "mg"}}, ["5||mg", "gt4"]),
    ("string", "Patient.extension('{}').value", {"valueString": "Münster"}, ["munst", "M%C3%9CNSTER"]),
    ("uri", "Patient.extension('{}').value", {"valueUri": "http://a.b/c"}, ["http://a.b/c"]),
    ("token", "Patient.extension('{}').value.as(Coding)", {"valueCoding": {"system": "http://s", "code": "c"}},
     ["c", "http://s|c", "http://s|"]),
    ("string", "Patient.name.first().family", {"valueString": "x"}, ["smi"]),
    ("token", "Patient.extension('{}').exists()", {"valueString": "x"}, ["true"]),
    ("token", "Patient.extension('{}')", {"valueCoding": {"system": "http://s", "code": "c"}}, ["c", "http://s|c"]),
    ("date", "Patient.extension('{}').first()", {"valueDate": "2024-03-01"}, ["ge2024", "2024-03"]),
    ("reference", "Patient.extension('{}').first()", {"valueReference": {"reference": "http://a.b/Group/1"}},
     ["http://a.b/Group/1"]),
    ("date", "Patient.extension.where(url = '{}').valueDateTime", {"valueDateTime": "2024-03-01"}, ["2024-03"]),
])  # fmt: skip
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_every_type_of_parameter_is_searched(fhir, work, clean, kind, expression, value, searches):
    wanted = fhir.create(patient(extension=[{"url": EYES, **value}]))["id"]
    fhir.create(patient("Jones"))
    fhir.create(definition(type=kind, expression=expression.format(EYES)))
    work()
    for text in searches:
        assert ids(fhir.get(f"Patient?eyes={text}")) == {wanted}, text
    if kind in ("date", "number", "quantity"):
        assert fhir.get("Patient?_sort=eyes").resources()[0]["id"] == wanted
    then = fhir.get(f"Patient/{wanted}").json
    fhir.put(f"Patient/{wanted}", {**patient("Miller", "Zoe"), "id": wanted})
    for text in searches:
        found = fhir.get(f"Patient?eyes={text}&_asOf={then['meta']['lastUpdated']}").resources()
        assert [one["meta"]["versionId"] for one in found if one["id"] == wanted] == ["1"], text
    assert clean()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_words_units_and_filters_reach_a_parameter_of_ones_own(fhir, work, clean):
    concept = {"coding": [{"system": "http://s", "code": "c", "display": "Blue eyes"}]}
    wanted = fhir.create(patient(extension=[{"url": EYES, "valueCodeableConcept": concept}]))["id"]
    place = {"resourceType": "Location", "position": {"latitude": 1, "longitude": 2}}
    fhir.create(place)
    fhir.create(definition(expression=f"Patient.extension('{EYES}').value.as(CodeableConcept)"))
    fhir.create(definition(code="tall", type="quantity", base=["Location"], url="http://example.org/tall",
                           expression=f"Location.extension('{EYES}').value"))
    fhir.create({**place, "extension": [
        {"url": EYES, "valueQuantity": {"value": 2, "system": "http://unitsofmeasure.org", "code": "m"}}]})
    assert clean()
    work()
    for search in ("eyes:text=b", "eyes:text=BLUE", "eyes:text=blue%20e", "_filter=eyes%20pr%20true",
                   "_filter=eyes%20eq%20c%20or%20gender%20eq%20x", "_filter=not%20(eyes%20pr%20false)"):
        assert ids(fhir.get(f"Patient?{search}")) == {wanted}, search
    assert fhir.get("Location?tall=200|http://unitsofmeasure.org|cm").json["total"] == 1
    assert clean()


@pytest.mark.proves("search:reference")
def test_a_reference_is_searched_and_included(fhir, work, clean):
    firm = fhir.create({"resourceType": "Organization", "name": "Firm"})["id"]
    payer = {"url": EYES, "valueReference": {"reference": f"Organization/{firm}"}}
    person = fhir.create(patient(extension=[payer]))["id"]
    fhir.create(definition(type="reference", target=["Organization"], code="payer"))
    fhir.get("Patient?_include=Patient:payer").refused(400, "invalid", text="still being indexed")
    work()
    assert ids(fhir.get(f"Patient?payer={firm}")) == {person}
    assert ids(fhir.get(f"Patient?payer=Organization/{firm}&_include=Patient:payer")) == {person, firm}
    assert ids(fhir.get("Patient?payer.name=firm")) == {person}
    assert ids(fhir.get("Organization?_has:Patient:payer:gender=female")) == {firm}
    assert ids(fhir.get("Organization?_revinclude=Patient:payer")) == {person, firm}
    assert clean()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_an_expression_that_leads_to_an_extension_means_its_value_wherever_a_parameter_may_stand(fhir, work, clean):
    firm = fhir.create({"resourceType": "Organization", "name": "Firm"})["id"]
    other = fhir.create({"resourceType": "Organization", "name": "Other"})["id"]
    number = {"system": "urn:s", "value": "7", "type": {"coding": [{"system": "urn:t", "code": "MR"}]}}
    person = fhir.create(patient(extension=[
        {"url": EYES, "valueReference": {"reference": f"Organization/{firm}"}},
        {"url": EYES + "2", "valueIdentifier": number},
    ]))["id"]  # fmt: skip
    fhir.create(definition(type="reference", target=["Organization"], code="payer",
                           expression=f"Patient.extension('{EYES}')"))
    fhir.create(definition(code="number", url="http://example.org/number",
                           expression=f"Patient.extension('{EYES}2')"))
    work()
    assert ids(fhir.get(f"Patient?payer={firm}")) == {person}
    assert ids(fhir.get("Patient?payer.name=firm")) == {person}
    assert ids(fhir.get("Patient?_include=Patient:payer")) == {person, firm}
    assert ids(fhir.get("Organization?name=firm&_revinclude=Patient:payer")) == {person, firm}
    assert ids(fhir.get("Organization?_has:Patient:payer:gender=female")) == {firm}
    assert ids(fhir.get("Organization?_not-referenced=Patient:payer")) == {other}
    assert ids(fhir.get('Patient?_filter=payer.name%20eq%20"firm"')) == {person}
    asked = fhir.get(f"Organization/{firm}/$graphql?query={{PatientList(_reference:payer){{id}}}}")
    assert asked.json == {"data": {"PatientList": [{"id": person}]}}
    assert ids(fhir.get("Patient?number:of-type=urn:t|MR|7")) == {person}
    assert clean()


def test_a_parameter_of_every_resource_is_one_of_each_type(fhir, work, clean):
    """R5's own definition of `_language`; Microsoft's server and HAPI take such, too."""
    fhir.put("Patient/1", patient(id="1", language="de"))
    fhir.create(patient(language="en"))
    fhir.create(definition(url="http://hl7.org/fhir/SearchParameter/Resource-language", code="_language",
                           base=["Resource"], expression="Resource.language"))
    fhir.get("Patient?_language=de").refused(400, "invalid", "_language", "still being indexed")
    work()
    fhir.create({"resourceType": "Binary", "contentType": "text/plain", "language": "de"})
    fhir.create(observation("Patient/1", language="de"))
    for search, total in {
        "Patient?_language=de": 1, "Binary?_language=de": 1, "?_type=Patient,Binary,Observation&_language=de": 3,
        "Observation?subject:Patient._language=de": 1, "Patient?_language:not=de": 1,
        "Patient/1/*?_type=Patient,Observation&_language=de": 2, "Observation?_sort=_language": 1,
        "SearchParameter?_language:missing=true": 1,
    }.items():  # fmt: skip
        assert fhir.total(search) == total, search
    fhir.get("?_language=de").refused(400, "invalid", "_language", text="_type")
    assert "_language" in codes(fhir, "Account")
    assert clean()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_parameter_of_every_domain_resource_leaves_out_the_others(fhir):
    fhir.create(definition(base=["DomainResource", "Patient"], expression=f"DomainResource.extension('{EYES}').value"))
    fhir.get("Group?eyes=x").refused(400, "invalid", "eyes", "still being indexed")
    for other in ("Binary", "Bundle", "Parameters"):
        fhir.get(f"{other}?eyes=x").refused(400, "invalid", "eyes", "has no search parameter")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("more", "status", "code", "element"), [
    ({"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, 422, "processing", "modifierExtension"),
    ({"implicitRules": "urn:x"}, 422, "processing", "implicitRules"),
    ({"expression": "Patient.extension("}, 422, "processing", "expression"),
    ({"expression": "Patient.nothing"}, 422, "processing", "expression"),
    ({"expression": "Observation.status"}, 422, "processing", "expression"),
    ({"expression": "Patient.maritalStatus", "type": "date"}, 422, "processing", "expression"),
    ({"expression": "Patient.name.where(family.matches('(a+)+'))", "type": "string"}, 422, "processing", "expression"),
    ({"expression": "Patient.birthDate", "type": "date", "code": "born"}, 422, "processing", "expression"),
    ({"code": "family"}, 422, "processing", "code"),
    ({"code": "_eyes"}, 422, "processing", "code"),
    ({"code": "eyes:colour"}, 422, "processing", "code"),
    ({"base": ["Resource"]}, 422, "processing", "expression"),
    ({"expression": "Patient.extension.valueNothing"}, 422, "processing", "expression"),
    ({"expression": "Patient.name.where(usage='official').family", "type": "string"}, 422, "processing", "expression"),
    ({"expression": "Patient.extension.where(valueCode='x').exists()"}, 422, "processing", "expression"),
    ({"expression": "Patient.nam.exists()"}, 422, "processing", "expression"),
    ({"base": ["DomainResource"], "code": "title", "expression": "DomainResource.language"}, 422, "processing", "code"),
    ({"type": "special"}, 400, "not-supported", "type"),
    *(({"xpathUsage": usage}, 400, "not-supported", "xpathUsage") for usage in ("phonetic", "distance", "other")),
])  # fmt: skip
def test_what_cannot_be_a_parameter_is_refused_and_nothing_is_stored(fhir, more, status, code, element):
    fhir.post("SearchParameter", definition(**more)).refused(status, code, f"SearchParameter.{element}")
    assert fhir.total("SearchParameter") == 0
    assert fhir.post("SearchParameter", definition(**more, status="draft")).status == 201, "a draft may be unfinished"


def test_there_is_one_of_a_code_and_repetitions_of_r4_change_nothing(fhir, work, client):
    first = fhir.create(definition())["url"]
    fhir.post("SearchParameter", definition()).refused(409, "conflict", "SearchParameter.code", first)
    fhir.create(definition(base=["Person"], expression="Person.name", type="string"))
    own = {"url": "http://example.org/SearchParameter/us", "code": "gender", "expression": "Patient.gender"}
    fhir.create(definition(**own))
    copy = {"derivedFrom": "http://hl7.org/fhir/SearchParameter/individual-family", "code": "family", "type": "string"}
    fhir.create(definition(**copy, expression="Patient.name.where(use='official').family"))
    assert client("admin").get("$reindex").json["parameter"][1]["part"][2] == {"name": "type", "valueCode": "Patient"}
    assert len(client("admin", name="other").get("$reindex").json["parameter"]) == 2
    client("system/Patient.cruds").post("SearchParameter", definition(code="x")).refused(403, "forbidden")


def test_a_definition_that_a_transaction_refuses_is_told_at_its_entry(fhir, client):
    other = definition(url="http://example.org/SearchParameter/hair", code="hair")
    born = definition(url="http://example.org/b", code="born", type="date", expression="Patient.birthDate")
    twin = definition(url="http://example.org/t", code="hair")
    half = definition(url="http://example.org/h", code="half", type="composite", expression="Patient",
                      component=[{"definition": "http://example.org/none", "expression": "name"}] * 2)  # fmt: skip
    for wrong, status, code, place in ((born, 422, "processing", "expression"), (twin, 409, "conflict", "code"),
                                       (half, 422, "processing", "component[0].definition")):
        for entries in ([patient(), other, wrong], [patient(), other, *[patient()] * 30, wrong]):
            refused = fhir.post("", bundle(*map(post, entries)))
            refused.refused(status, code, f"Bundle.entry[{len(entries) - 1}].resource.{place}")
    fhir.create(other)
    fhir.post("", bundle(post(patient()), post(twin))).refused(409, "conflict", "Bundle.entry[1].resource.code")
    fhir.post("SearchParameter", twin).refused(409, "conflict", "SearchParameter.code")
    client("system/Patient.rs?eyes=blue")
    fhir.post("", bundle(post(patient()), post(definition()))).refused(
        403, "forbidden", "Bundle.entry[1].resource.code")


def test_the_past_is_asked_by_what_is_defined_today(fhir, client, work, clean):
    """Versions from before the definition, from while it was indexed, and from later; of what is deleted too."""
    first = fhir.create(eyed("blue"))
    seen = fhir.create(observation(f"Patient/{first['id']}"))["id"]
    gone = fhir.create(eyed("blue", gender="other"))
    fhir.delete(f"Patient/{gone['id']}")
    times = [gone["meta"]["lastUpdated"]]

    def changed(colour):
        answer = fhir.put(f"Patient/{first['id']}", {**eyed(colour), "id": first["id"]})
        times.append(answer.json["meta"]["lastUpdated"])

    changed("brown")
    made = fhir.create(definition())["id"]
    fhir.get(f"Patient?eyes=blue&_asOf={times[0]}").refused(400, "invalid", "eyes", "still being indexed")
    changed("green")
    assert clean()
    work()
    assert clean()
    changed("grey")
    fhir.delete(f"Patient/{first['id']}")
    assert clean()

    def found(search, at, who=fhir):
        return ids(who.get(f"{search}&_asOf={times[at]}"))

    assert found("Patient?eyes=blue", 0) == {first["id"], gone["id"]}
    assert [found(f"Patient?eyes={one}", at) for at, one in enumerate(("brown", "brown", "green", "grey"))] == [
        set(), {first["id"]}, {first["id"]}, {first["id"]}]  # fmt: skip
    assert found("Patient?eyes:not=brown&gender=female", 1) == set()
    assert found("Patient?eyes:missing=false&gender=female", 2) == {first["id"]}
    assert found("Patient?_filter=not (eyes eq brown)", 3) == {first["id"]}
    assert found("Observation?patient.eyes=brown", 1) == {seen}
    assert found("Observation?patient.eyes=brown", 2) == set()
    bound = client("system/Patient.rs?eyes:not=blue")
    assert found("Patient?gender=female", 0, bound) == set(), "it must hold then"
    fhir.put(f"Patient/{first['id']}", {**eyed("blue"), "id": first["id"]})
    assert found("Patient?gender=female", 1, bound) == set(), "and now"
    assert found("Patient?gender=female", 1, client("system/Patient.rs?eyes=blue,brown")) == {first["id"]}
    assert clean()
    eraser = client("admin", "system/*.cruds")
    assert eraser.delete(f"Patient/{first['id']}/_history/2").status == 200
    assert clean()
    eraser.put(f"SearchParameter/{made}", {**definition(expression=f"Patient.extension('{EYES}2').value"), "id": made})
    assert eraser.delete(f"Patient/{first['id']}/_history/3").status == 200
    work()
    assert clean()
    assert found("Patient?eyes=grey", 3) == set()
    fhir.delete(f"SearchParameter/{made}")
    fhir.put(f"Patient/{first['id']}", {**eyed("blue"), "id": first["id"]})
    work()
    assert clean()


def test_pages_by_a_parameter_of_ones_own_show_what_the_first_saw(fhir, work, clean):
    fhir.create(definition())
    work()
    made = [fhir.create(eyed("blue"))["id"] for _ in range(6)]
    page = fhir.get("Patient?eyes=blue&_count=2")
    seen = [one["id"] for one in page.resources()]
    for one in made:
        fhir.put(f"Patient/{one}", {**eyed("brown"), "id": one})
    fhir.create(eyed("blue"))
    while (further := page.link("next")) is not None:
        page = fhir.get(further)
        assert page.status == 200, page.content
        assert {one["extension"][0]["valueCode"] for one in page.resources()} == {"blue"}
        seen += [one["id"] for one in page.resources()]
    assert seen == made
    assert clean()


def test_what_is_contained_is_not_indexed_by_parameters_defined_here(fhir, client, work, clean):
    fhir.create(definition())
    fhir.create({**observation("#p"), "contained": [eyed("blue", id="p")]})
    fhir.put("Patient/q", eyed("blue", id="q"))
    standing = fhir.create(observation("Patient/q"))["id"]
    work()
    fhir.get("Patient?_contained=true&eyes=blue").refused(400, "not-supported", "eyes", "what is contained")
    assert ids(fhir.get("Observation?subject:Patient.eyes=blue")) == {standing}
    assert len(ids(fhir.get("Observation?subject:Patient.name=anna"))) == 2
    bound = client("system/Observation.rs", "system/Patient.rs?eyes:not=brown")
    bound.get("Observation?_contained=true").refused(403, "forbidden", None, "eyes:not")
    assert ids(bound.get("Observation?subject:Patient.name=anna")) == {standing}
    assert clean()
