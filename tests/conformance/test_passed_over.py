"""What a request says and would be passed over is refused, in strict handling: D13, https://hl7.org/fhir/R4/search.html#errors"""

import base64

import pytest

from tests.builders import bundle, entry, observation, patient
from tests.one_database import ONE_DATABASE

FORM = "application/x-www-form-urlencoded"
LENIENT = {"Prefer": "handling=lenient"}


@pytest.fixture
def stored(fhir):
    fhir.put("Patient/1", patient(id="1"))
    fhir.create(observation("Patient/1"))
    return fhir


@ONE_DATABASE
@pytest.mark.parametrize("address", ["Patient/1", "Patient/1/_history/1"])
@pytest.mark.parametrize("name", ["_include", "_revinclude", "name", "foo", "_count", "_elments"])
def test_a_read_with_a_parameter_that_it_has_not_is_refused(stored, address, name):
    stored.get(f"{address}?_format=json&{name}=x").refused(400, "invalid", "http.url", text=repr(name))
    assert stored.get(f"{address}?{name}=x", **LENIENT).json["id"] == "1"


def test_who_reads_with_an_include_is_told_of_the_search_that_brings_it(stored):
    stored.get("Patient/1?_revinclude=Observation:subject").refused(
        400, "invalid", "http.url", text="GET Patient?_id=1&…")
    assert len(stored.get("Patient?_id=1&_revinclude=Observation:subject").entries()) == 2


@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_an_entry_that_reads_is_refused_likewise(stored, type_):
    answer = stored.post("", bundle(entry("GET", "Patient/1?_include=Patient:organization"), type_=type_))
    if type_ == "transaction":
        answer.refused(400, "invalid", "Bundle.entry[0].request.url")
    else:
        assert answer.entries()[0]["response"]["status"] == "400 Bad Request"
    assert stored.post("", bundle(entry("GET", "Patient/1?_elements=name"), type_=type_)).entries()


def test_the_capabilities_have_a_mode_and_nothing_else(fhir):
    assert fhir.get("metadata?mode=full&_format=json&_pretty=true").status == 200
    fhir.get("metadata?moed=terminology").refused(400, "invalid", "http.url", text="mode")


@ONE_DATABASE
@pytest.mark.parametrize("name", ["_sort:desc", "_sort:asc", "_count:exact", "_total:x", "_summary:x",
                                  "_elements:exclude", "_format:x", "_pretty:x", "_offset:x", "_cursor:x", "_asOf:x"])
def test_what_takes_no_modifier_says_so(fhir, name):
    """STU3 and others had `_sort:desc`; "has no search parameter _sort" was no help."""
    code = name.partition(":")[0]
    for headers in ({}, LENIENT):
        told = "takes no modifier; descending is _sort=-date" if code == "_sort" else "takes no modifier"
        fhir.get(f"Patient?{name}=1", **headers).refused(400, "invalid", name, text=f"{code} {told}")


@ONE_DATABASE
@pytest.mark.parametrize("url", ["Patient/1", "Patient?_id=1", "Patient/1/_history", "metadata"])
@pytest.mark.parametrize("twice", ["_format=json&_format=xml", "_pretty=true&_pretty=false"])
def test_what_contradicts_itself_is_refused(stored, url, twice):
    joined = "&" if "?" in url else "?"
    answer = stored.get(f"{url}{joined}{twice}")
    assert (answer.status, twice.partition("=")[0].encode() in answer.content) == (400, True)
    same = twice.replace("xml", "json").replace("false", "true")
    assert stored.get(f"{url}{joined}{same}").status == 200


def test_a_form_and_its_url_do_not_contradict_each_other(fhir):
    told = fhir("POST", "Patient/_search?_format=json", "_format=xml", Content_Type=FORM)
    assert (told.status, b"_format" in told.content) == (400, True)


@ONE_DATABASE
@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", '"windows-1252"'])
def test_a_form_in_another_character_set_is_refused(fhir, charset):
    fhir("POST", "Patient/_search", "name=x", Content_Type=f"{FORM}; charset={charset}").refused(
        415, "not-supported", "http.Content-Type", text="UTF-8")


@ONE_DATABASE
@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"'])
def test_a_form_may_say_that_it_is_utf_8(fhir, charset):
    fhir.create(patient("Müller"))
    found = fhir("POST", "Patient/_search", "family=M%C3%BCller", Content_Type=f"{FORM}; charset={charset}")
    assert found.json["total"] == 1


def test_an_asynchronous_answer_that_is_not_wanted_is_not_given(fhir):
    """RFC 7240 section 4.1: respond-async has no value."""
    assert fhir.get("Patient", Prefer="respond-async=false").status == 200
    assert fhir.get("Patient", Prefer="respond-async").status == 202


@ONE_DATABASE
@pytest.mark.parametrize("url", [
    "Patient/1?_elements=brithDate", "Patient/1?_elements=name,code", "Patient/1/_history/1?_elements=Patient.code",
    "Patient?_elements=brithDate", "Patient?_elements=Patient.brithDate", "Patient?_elements=name,Observation.name",
    "Patient/1/_history?_elements=code", "?_type=Patient,Observation&_elements=brithDate",
    "_history?_elements=brithDate",
    "Patient/1/$everything?_elements=brithDate", "Observation/$lastn?subject=Patient/1&_elements=brithDate",
    "metadata?_elements=brithDate",
])  # fmt: skip
def test_an_element_that_nothing_asked_has_is_refused(stored, url):
    """It would look as if there were no date of birth."""
    stored.get(url).refused(400, "invalid", "_elements", text="no element of")
    if url != "metadata?_elements=brithDate":
        assert stored.get(url, **LENIENT).status == 200


def test_the_nearest_element_is_named(stored):
    stored.get("Patient/1?_elements=brithDate").refused(400, "invalid", "_elements", text="did you mean birthDate?")
    stored.post("Patient?_elements=brithDate", patient()).refused(400, "invalid", "_elements")
    assert stored.total("Patient") == 1


@ONE_DATABASE
@pytest.mark.parametrize("url", [
    "Patient/1?_elements=deceased,deceasedBoolean,deceased[x],contained,id,resourceType,multipleBirthInteger",
    "Observation?_include=Observation:subject&_elements=value,Patient.birthDate",
    "Patient/1/$everything?_elements=birthDate,valueQuantity", "?_type=Patient,Observation&_elements=birthDate,code",
    "metadata?_elements=fhirVersion", "Observation?_contained=true&_elements=birthDate",
])  # fmt: skip
def test_elements_of_what_is_answered_are_known(stored, url):
    assert stored.get(url).status == 200


def test_a_part_of_a_binary_is_one_of_the_resource(fhir):
    """Content has no elements: https://hl7.org/fhir/R4/binary.html#rest"""
    made = fhir("POST", "Binary", b"hello", Content_Type="text/plain").json["id"]
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "text/plain"}):
        assert fhir.get(f"Binary/{made}", **accept).content == b"hello"
        part = fhir.get(f"Binary/{made}?_elements=contentType", **accept).json
        assert (part["resourceType"], part["contentType"], "data" in part) == ("Binary", "text/plain", False)
        assert fhir.get(f"Binary/{made}?_summary=false", **accept).content == b"hello"


@ONE_DATABASE
@pytest.mark.parametrize(("method", "url", "body"), [
    ("POST", "", bundle(entry("DELETE", "Patient/1"))),
    ("POST", "", bundle(entry("DELETE", "Patient/1"), type_="batch")), ("DELETE", "Patient/1/_history", None),
])  # fmt: skip
def test_a_cascade_that_would_be_passed_over_is_refused(stored, method, url, body):
    stored(method, url, body, X_Cascade="delete").refused(
        400, "not-supported", "http.X-Cascade", text="_cascade=delete")
    assert stored.get("Patient/1").status == 200


@ONE_DATABASE
@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_what_a_binary_carries_in_another_character_set_is_refused(stored, type_):
    def carried(content_type, content):
        data = base64.b64encode(content).decode()
        return {"resourceType": "Binary", "contentType": content_type, "data": data}

    patch = carried("application/json-patch+json; charset=iso-8859-1", b'[{"op":"remove","path":"/gender"}]')
    form = carried(f"{FORM}; charset=UTF-16", b"name=x")
    good = carried(f"{FORM}; charset=UTF-8", b"name=x")
    for wrong in (entry("PATCH", "Patient/1", patch), entry("POST", "Patient/_search", form)):
        answer = stored.post("", bundle(wrong, type_=type_))
        if type_ == "transaction":
            answer.refused(400, "not-supported", "Bundle.entry[0].resource.contentType", text="UTF-8")
        else:
            assert answer.entries()[0]["response"]["status"] == "400 Bad Request"
    answer = stored.post("", bundle(entry("POST", "Patient/_search", good), type_=type_))
    assert answer.entries()[0]["response"]["status"] == "200 OK"
    assert stored.get("Patient/1").vid == "1"
