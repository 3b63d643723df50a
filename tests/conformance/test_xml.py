"""FHIR XML in and out of every interaction: https://hl7.org/fhir/R4/xml.html"""

import json

import pytest

from hie.fhir import json_format, xml_format
from hie.fhir.json_format import JsonDecimal
from tests.builders import bundle, observation, patient, post
from tests.conformance.conftest import FHIR_JSON, FHIR_XML

XML = "application/fhir+xml"
NS = 'xmlns="http://hl7.org/fhir"'


def in_xml(resource):
    return xml_format.dump(json_format.parse(json.dumps(resource).encode()))


@pytest.mark.proves("format:application/fhir+xml")
def test_a_resource_in_xml_is_the_same_resource_in_json(fhir):
    made = fhir.post("Patient", in_xml(patient(family="Müller & <Söhne>")), Content_Type=XML, Accept=XML)
    assert (made.status, made.headers["Content-Type"]) == (201, FHIR_XML)
    id_ = made.id
    xml, plain = fhir.get(f"Patient/{id_}", Accept=XML), fhir.get(f"Patient/{id_}")
    assert (xml.headers["Content-Type"], plain.headers["Content-Type"]) == (FHIR_XML, FHIR_JSON)
    assert xml.json == plain.json == made.json
    assert xml.headers["ETag"] == plain.headers["ETag"]
    assert fhir.total("Patient?family=m%C3%BCller") == 1
    changed = fhir.put(f"Patient/{id_}", in_xml({**plain.json, "active": True}), Content_Type="text/xml; charset=utf-8")
    assert (changed.status, changed.vid, changed.json["active"]) == (200, "2", True)
    unchanged = fhir.put(f"Patient/{id_}", fhir.get(f"Patient/{id_}?_format=xml").content, Content_Type=XML)
    assert unchanged.vid == "2", "what is read as XML and sent back changes nothing"


def test_decimals_and_narratives_keep_their_form(fhir):
    div = '<div xmlns="http://www.w3.org/1999/xhtml">a &lt; b&#160;<br/>\n <i class="x">\u00e9</i> </div>'
    body = (f'<Observation {NS}><text><status value="generated"/>{div}</text><status value="final"/><code>'
            f'<text value="x"/></code><valueQuantity><value value="1.500"/></valueQuantity></Observation>').encode()
    id_ = fhir.post("Observation", body, Content_Type=XML).id
    stored = json_format.parse(fhir.get(f"Observation/{id_}").content)
    assert (str(stored["valueQuantity"]["value"]), type(stored["valueQuantity"]["value"])) == ("1.500", JsonDecimal)
    assert stored["text"]["div"] == div
    assert div.encode() in fhir.get(f"Observation/{id_}", Accept=XML).content


@pytest.mark.proves("format:xml")
@pytest.mark.parametrize("accept", [XML, "application/xml", "application/fhir+json;q=0.2, application/fhir+xml"])
def test_everything_that_is_answered_comes_as_xml_when_asked(fhir, accept):
    id_ = fhir.create(patient())["id"]
    for url, type_ in ((f"Patient/{id_}", "Patient"), (f"Patient/{id_}/_history/1", "Patient"), ("Patient", "Bundle"),
                       (f"Patient/{id_}/_history", "Bundle"), ("_history", "Bundle"),
                       ("metadata", "CapabilityStatement"),
                       (f"Patient/{id_}/$everything", "Bundle"), (f"Patient/{id_}?_elements=name", "Patient"),
                       ("Patient?_summary=count", "Bundle"), (f"Patient/{id_}?_pretty=true", "Patient")):
        answer = fhir.get(url, Accept=accept)
        wanted = "application/xml; charset=utf-8" if accept == "application/xml" else FHIR_XML
        assert (answer.status, answer.headers["Content-Type"]) == (200, wanted), url
        expected = fhir.get(url).json
        found = answer.json
        assert found["resourceType"] == expected["resourceType"] == type_
        if type_ != "Bundle":
            assert found == expected
        assert len(found.get("entry", [])) == len(expected.get("entry", []))
    assert b"\n  <id " in fhir.get(f"Patient/{id_}?_pretty=true&_format=xml").content
    assert fhir("HEAD", f"Patient/{id_}?_format=xml").headers["Content-Type"] == FHIR_XML
    deleted = fhir.delete(f"Patient/{id_}", Accept=accept)
    assert (deleted.status, deleted.json["resourceType"]) == (200, "OperationOutcome")


@pytest.mark.proves("format:*")
def test_the_capability_statement_names_both_formats(fhir):
    statement = fhir.get("metadata", Accept=XML).json
    assert statement["format"] == ["application/fhir+json", "json", XML, "xml"]
    assert XML in statement["patchFormat"]


def test_refusals_come_as_xml_when_asked(fhir, nobody):
    for one, method, url, body, headers, expected in (
        (fhir, "GET", "Patient/none", None, {"Accept": XML}, (404, "not-found")),
        (fhir, "GET", "Patient/none?_format=xml", None, {}, (404, "not-found")),
        (fhir, "GET", "Patient/none?_format=json", None, {"Accept": XML}, (404, "not-found", None, "", FHIR_JSON)),
        (fhir, "GET", "Nothing\ufffe\x01", None, {"Accept": XML}, (400, "invalid")),
        (nobody, "GET", "Patient", None, {"Accept": XML}, (401, "login")),
        (fhir, "POST", "Patient", b"{", {"Accept": XML}, (400, "structure")),
        (fhir, "POST", "Patient/$nothing", None, {"Accept": XML}, (404, "not-found")),
        (fhir, "PUT", "Patient", None, {"Accept": XML}, (400, "invalid")),
    ):
        expected = expected if len(expected) == 5 else (*expected, None, "", FHIR_XML)
        one(method, url, body, **headers).refused(*expected)


def test_broken_xml_is_refused_naming_the_place(fhir):
    for body, expression, text in (
        (b"", None, "no body"),
        (b"{}", None, "Line 1, column 1"),
        (f'<Patient {NS}>\n<active value="yes"/></Patient>'.encode(), "Patient.active", "Line 2"),
        (f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><Patient {NS}><id value="&a;"/></Patient>'.encode(),
         None, "document type"),
        (f'<Patient {NS}><name><family value=""/></name></Patient>'.encode(), "Patient.name[0].family", "never empty"),
        (f"<Patient {NS}><contact/></Patient>".encode(), "Patient.contact[0]", "empty"),
    ):
        answer = fhir.post("Patient", body, Content_Type=XML)
        assert answer.status == 400, body
        issue = answer.json["issue"][0]
        assert text in issue["diagnostics"]
        assert issue.get("expression", [None])[0] == expression
    fhir.post("Patient", in_xml(observation()), Content_Type=XML).refused(400, "invalid", "resourceType")
    assert fhir.total("Patient") == 0


def test_bundles_go_in_and_out_as_xml(fhir):
    urn = "urn:uuid:11111111-1111-1111-1111-111111111111"
    sent = bundle(post(patient(family="Bundled"), urn), post(observation(urn), None))
    answer = fhir.post("", in_xml(sent), Content_Type="application/xml", Accept=XML, Prefer="return=representation")
    assert (answer.status, answer.json["type"]) == (200, "transaction-response")
    first, second = answer.resources()
    assert second["subject"]["reference"] == f"Patient/{first['id']}"
    broken = bundle(post(patient()), post({"resourceType": "Observation", "status": "final"}))
    fhir.post("", in_xml(broken), Content_Type=XML, Accept=XML).refused(
        400, "required", "Bundle.entry[1].resource.code", "", FHIR_XML)
    assert fhir.total("Patient") == 1


def test_operations_take_and_give_xml(fhir):
    subject = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": patient(gender="x")}]}
    answer = fhir.post("Patient/$validate", in_xml(subject), Content_Type=XML, Accept=XML)
    assert (answer.status, answer.headers["Content-Type"]) == (200, FHIR_XML)
    assert answer.json["issue"][0]["expression"] == ["Patient.gender"]


DECLARED = b' xmlns="http://hl7.org/fhir"'
WRONG = b"<Patient" + DECLARED + b'><nam/><active value="true"/><gender value="x"/></Patient>'


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.proves("operation:any/$validate")
@pytest.mark.parametrize("in_parameters", [False, True])
def test_validate_tells_what_is_xml_and_no_fhir_as_it_does_of_json(fhir, in_parameters):
    """It was 400: what R4 says of $validate is that it answers 200 wherever it could validate."""
    body = WRONG
    if in_parameters:
        body = b"<Parameters" + DECLARED + b'><parameter><name value="resource"/><resource>' + WRONG + \
            b"</resource></parameter></Parameters>"
    answer = fhir.post("Patient/$validate", body, Content_Type=XML, Accept=XML)
    found = [(one["code"], one["expression"]) for one in answer.json["issue"] if one["severity"] == "error"]
    assert (answer.status, found) == (200, [("structure", ["Patient"]), ("code-invalid", ["Patient.gender"])])
    assert "Patient has no element nam; nearest is name. Line 1, column" in answer.json["issue"][0]["diagnostics"]
    in_json = fhir.post("Patient/$validate", {"resourceType": "Patient", "nam": "x", "gender": "x"})
    found = [(one["code"], one["expression"]) for one in in_json.json["issue"] if one["severity"] == "error"]
    assert sorted(found) == [("code-invalid", ["Patient.gender"]), ("structure", ["Patient.nam"])]
    fhir.post("Patient", WRONG, Content_Type=XML, Accept=XML).refused(400, "structure", "Patient", "", FHIR_XML)
    assert fhir.total("Patient") == 0


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_validate_cannot_read_or_is_wrong_around_the_resource_is_refused(fhir):
    for body in (WRONG[:-2], b"<Foo" + DECLARED + b"/>", b"<!DOCTYPE Patient>" + WRONG):
        fhir.post("Patient/$validate", body, Content_Type=XML).refused(400, "structure")
    around = b"<Parameters" + DECLARED + b'><nam/><parameter><name value="resource"/><resource><Patient/></resource>'
    fhir.post("Patient/$validate", around + b"</parameter></Parameters>", Content_Type=XML).refused(
        400, "structure", "Parameters")
    fhir.post("Patient/$validate?foo=1", WRONG, Content_Type=XML).refused(400, "invalid", "foo")


@pytest.mark.proves("patchFormat:application/fhir+xml")
def test_a_fhirpath_patch_may_be_xml(fhir):
    id_ = fhir.create(patient())["id"]
    parts = [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.gender"},
             {"name": "value", "valueCode": "other"}]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    answer = fhir("PATCH", f"Patient/{id_}", in_xml(patch), Content_Type=XML, Accept=XML)
    assert (answer.status, answer.json["gender"]) == (200, "other"), answer.content
    assert XML in fhir("PATCH", f"Patient/{id_}", b"x", Content_Type="text/plain").headers["Accept-Patch"]


def test_a_search_by_form_may_ask_for_xml_in_the_form(fhir):
    fhir.create(patient(family="Formed"))
    form = "application/x-www-form-urlencoded"
    answer = fhir.post("Patient/_search", b"family=Formed&_format=xml", Content_Type=form)
    assert (answer.headers["Content-Type"], answer.json["total"]) == (FHIR_XML, 1)


def test_a_binary_is_a_resource_in_fhir_xml_alone(fhir):
    document = b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>'
    id_ = fhir.post("Binary", document, Content_Type="application/xml", Accept=XML).id
    assert fhir.get(f"Binary/{id_}").content == document
    assert fhir.get(f"Binary/{id_}", Accept="application/xml, */*;q=0.1").content == document
    wrapped = fhir.get(f"Binary/{id_}", Accept=XML)
    assert wrapped.json["contentType"] == "application/xml"
    again = fhir.put(f"Binary/{id_}", wrapped.content, Content_Type=XML)
    assert (again.status, again.vid) == (200, "1")


def test_xml_shows_no_more_than_the_grant(client, fhir):
    id_ = fhir.create(patient())["id"]
    fhir.create(observation(f"Patient/{id_}"))
    narrow = client("system/Observation.rs")
    narrow.get(f"Patient/{id_}", Accept=XML).refused(403, "forbidden", None, "", FHIR_XML)
    found = narrow.get("Observation?_include=Observation:subject", Accept=XML)
    assert [one["resourceType"] for one in found.resources()] == ["Observation"]
