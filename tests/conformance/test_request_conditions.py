"""Conditions of a request, in headers and entries: asked as RFC 9110 has it, or refused, never passed over."""

import pytest

from tests.builders import SYSTEM, bundle, entry, parameters, patient, post, put
from tests.one_database import ONE_DATABASE

PATCH = {"active": True}
MERGE = {"Content_Type": "application/merge-patch+json"}
LABEL = parameters(meta=("Meta", {"tag": [{"system": "urn:x", "code": "y"}]}))
NAME = parameters(name=("String", "mine"))


def changed(fhir, method, url, value):
    body = {"PUT": patient("Other", id="1"), "PATCH": PATCH, "DELETE": None}[method]
    return fhir(method, url, body, If_Match=value, **(MERGE if method == "PATCH" else {}))


@pytest.fixture
def stored(fhir):
    """A resource at version 3."""
    for gender in ("male", "female", "other"):
        fhir.put("Patient/1", patient(id="1", gender=gender, identifier="1"))
    return fhir


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("url", ["Patient/1", "Patient?_id=1"])
@pytest.mark.parametrize("value", ["*", ' W/"2", "3" ', 'W/"nobodys", W/"3"', 'W/"3",W/"3"'])
def test_if_match_names_one_of_several_versions_or_any(stored, method, url, value):
    """https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1"""
    answer = changed(stored, method, url, value)
    assert (answer.status, answer.headers["ETag"]) == (200, 'W/"4"')


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match_of_other_versions_changes_nothing(stored, method):
    for url in ("Patient/1", "Patient?_id=1"):
        for value in ('W/"1", "2"', '"nobodys"', 'W/"4", W/"7"'):
            changed(stored, method, url, value).refused(412, "conflict", "http.If-Match")
            assert stored.get("Patient/1").vid == "3"


@pytest.mark.parametrize("value", ["*", 'W/"1"', 'W/"1", W/"3"'])  # of W/"2", the deletion: test_update.py
def test_what_is_not_there_is_no_version_that_if_match_could_name(fhir, value):
    for url in ("Patient/1", "Patient?_id=1"):
        changed(fhir, "PUT", url, value).refused(412, "conflict", "http.If-Match")
        changed(fhir, "DELETE", url, value).refused(412, "conflict", "http.If-Match")
    fhir.put("Patient/1", patient(id="1"))
    fhir.delete("Patient/1")
    changed(fhir, "PUT", "Patient/1", value).refused(412, "conflict", "http.If-Match")
    assert fhir.get("Patient/1").status == 410


def test_any_version_may_be_each_of_several(fhir):
    for _ in range(2):
        fhir.create(patient("Twin"))
    fhir.delete("Patient?family=Twin&_count=5", If_Match='W/"1", "2"').refused(412, "multiple-matches", "http.If-Match")
    assert fhir.delete("Patient?family=Twin&_count=5", If_Match="*").status == 200
    assert fhir.total("Patient") == 0


@pytest.mark.parametrize("type_", ["transaction", "batch"])
def test_entries_name_several_versions_too(stored, type_):
    kept = bundle(put(patient(id="1", active=True), ifMatch='W/"1", W/"3"'), type_=type_)
    assert stored.post("", kept).entries()[0]["response"]["etag"] == 'W/"4"'
    again = stored.post("", kept)
    if type_ == "transaction":
        again.refused(412, "conflict", "Bundle.entry[0].request.ifMatch", text="names versions 1, 3")
    else:
        assert again.entries()[0]["response"]["status"] == "412 Precondition Failed"


def test_a_read_is_of_the_version_that_if_match_names(stored):
    assert stored.get("Patient/1", If_Match='W/"3"').status == 200
    assert stored.get("Patient/1", If_Match="*").status == 200
    stored.get("Patient/1", If_Match='W/"2"').refused(412, "conflict", "http.If-Match")
    stored.get("Patient/1/_history/2", If_Match='W/"3"').refused(412, "conflict", "http.If-Match")
    stored.get("Patient/1", If_Match="three").refused(400, "invalid", "http.If-Match")


@ONE_DATABASE
def test_a_condition_that_asks_nothing_of_an_operation_which_changes_nothing_does_no_harm(stored):
    """What has no ETag is always other than what a cache has: RFC 9110 section 13.1.2"""
    assert stored.get("Patient/1/$everything", If_None_Match='W/"1"').status == 200


@ONE_DATABASE
def test_of_a_header_that_came_empty_it_is_told_that_headers_are_ascii(stored):
    """granian gives one with other characters so."""
    for header in ("If_None_Exist", "X_Provenance"):
        told = stored.post("Patient", patient(), **{header: " "})
        told.refused(400, "invalid", f"http.{header.replace('_', '-')}", "is empty; a header is ASCII")
    assert stored.get("Patient/1", X_Provenance="").status == 200


@ONE_DATABASE
def test_a_read_is_of_what_was_not_changed_since(stored):
    """https://www.rfc-editor.org/rfc/rfc9110#section-13.1.4"""
    now = stored.get("Patient/1").headers["Last-Modified"]
    for url in ("Patient/1", "Patient/1/_history/3"):
        stored.get(url, If_Unmodified_Since="Sun, 06 Nov 1994 08:49:37 GMT").refused(
            412, "conflict", "http.If-Unmodified-Since")
        assert stored.get(url, If_Unmodified_Since=now).status == 200
        assert stored.get(url, If_Unmodified_Since="yesterday").status == 200
        both = {"If_Match": 'W/"3"', "If_Unmodified_Since": "Sun, 06 Nov 1994 08:49:37 GMT"}
        assert stored.get(url, **both).status == 200


def test_a_token_learns_no_version_by_if_match(stored, client):
    narrow = client("system/Patient.r?gender=male")
    for value in ('W/"3"', 'W/"2"', "*", '"1", "2"'):
        narrow.get("Patient/1", If_Match=value).refused(404, "not-found")


@ONE_DATABASE
@pytest.mark.parametrize(("method", "url", "body", "headers"), [
    ("POST", "Patient", patient(), {"If_Match": 'W/"1"'}),
    ("POST", "Patient", patient(), {"If_None_Match": "*"}),
    ("POST", "Patient", patient(), {"If_Unmodified_Since": "Sun, 06 Nov 1994 08:49:37 GMT"}),
    ("PUT", "Patient/1", patient("Other", id="1"), {"If_None_Exist": "identifier=1"}),
    ("PUT", "Patient?_id=1", patient("Other", id="1"), {"If_None_Exist": "identifier=1"}),
    ("PATCH", "Patient/1", PATCH, {"If_None_Exist": "identifier=1", **MERGE}),
    ("DELETE", "Patient/1", None, {"If_None_Exist": "identifier=1"}),
    ("DELETE", "Patient/1/_history", None, {"If_Match": 'W/"1"'}),
    ("POST", "", bundle(post(patient())), {"If_None_Exist": "identifier=1"}),
    ("POST", "", bundle(post(patient()), type_="batch"), {"If_Match": 'W/"1"'}),
    ("GET", "Patient/1", None, {"If_None_Exist": "identifier=1"}),
    ("GET", "Patient?_id=1", None, {"If_Match": 'W/"1"'}),
    ("POST", "Patient/1/$meta-add", LABEL, {"If_None_Match": "*"}),
    ("POST", "Patient/1/$meta-delete", LABEL, {"If_None_Exist": "identifier=1"}),
    ("POST", "$closure", NAME, {"If_Match": 'W/"1"'}),
    ("POST", "$closure", NAME, {"If_None_Match": "*"}),
    ("GET", "Patient/1/$everything", None, {"If_Match": 'W/"1"'}),
    ("GET", "Patient/1/$meta", None, {"If_Unmodified_Since": "Sun, 06 Nov 1994 08:49:37 GMT"}),
    ("GET", "Patient/$everything", None, {"If_None_Exist": "identifier=1"}),
])  # fmt: skip
def test_a_condition_that_would_be_passed_over_is_refused(stored, method, url, body, headers):
    header = next(name for name in headers if name.startswith("If_")).replace("_", "-")
    stored(method, url, body, **headers).refused(400, "not-supported", f"http.{header}")
    assert stored.total("Patient") == 1
    assert stored.get("Patient/1").vid == "3"
    assert len(stored.get("Patient/1/_history").entries()) == 3


@ONE_DATABASE
@pytest.mark.parametrize(("one", "condition"), [
    (post(patient(), ifMatch='W/"1"'), "ifMatch"),
    (post(patient(), ifNoneMatch="*"), "ifNoneMatch"),
    (put(patient("Other", id="1"), ifNoneExist="identifier=1"), "ifNoneExist"),
    (put(patient("Other", id="1"), ifModifiedSince="2099-01-01T00:00:00Z"), "ifModifiedSince"),
    (entry("DELETE", "Patient/1", ifNoneExist="identifier=1"), "ifNoneExist"),
    (entry("DELETE", "Patient/1", ifModifiedSince="2099-01-01T00:00:00Z"), "ifModifiedSince"),
    (entry("GET", "Patient?_id=1", ifMatch='W/"1"'), "ifMatch"),
])  # fmt: skip
def test_an_entry_with_a_condition_that_would_be_passed_over_is_refused(stored, one, condition):
    stored.post("", bundle(one)).refused(400, "not-supported", f"Bundle.entry[0].request.{condition}")
    (answer,) = stored.post("", bundle(one, type_="batch")).entries()
    assert answer["response"]["status"] == "400 Bad Request"
    assert stored.get("Patient/1").vid == "3"
    assert stored.total("Patient") == 1


@pytest.mark.parametrize("form", ["{}", "?{}", "Patient?{}", "/Patient?{}", "Patient/?{}", "{base}/Patient?{}"])
def test_criteria_of_a_create_may_have_their_address_before_them(stored, form):
    """HAPI takes an absolute URL of its own, others a relative one."""
    criteria = form.format(f"identifier={SYSTEM}|1", base="http://localhost/fhir")
    answer = stored.post("Patient", patient(identifier="1"), If_None_Exist=criteria)
    assert (answer.status, answer.json["id"]) == (200, "1")
    (inside,) = stored.post("", bundle(post(patient(identifier="1"), ifNoneExist=criteria))).entries()
    assert inside["response"]["status"] == "200 OK"


@ONE_DATABASE
@pytest.mark.parametrize(
    "criteria",
    [
        "Observation?identifier=1",
        "http://other.org/fhir/Patient?identifier=1",
        "//Patient?identifier=1",
        "Patient/1?identifier=1",
    ],
)
def test_criteria_of_something_else_are_refused_where_they_stand(fhir, criteria):
    fhir.post("Patient", patient(), If_None_Exist=criteria).refused(
        400, "invalid", "http.If-None-Exist", text="Patient?identifier="
    )
    fhir.post("", bundle(post(patient(), ifNoneExist=criteria))).refused(
        400, "invalid", "Bundle.entry[0].request.ifNoneExist"
    )
    assert fhir.total("Patient") == 0


def test_a_question_mark_inside_of_a_value_is_no_address(fhir):
    made = fhir.post("Patient", patient(), If_None_Exist="identifier=http://acme.org/a?b|1")
    assert made.status == 201


def test_a_refusal_does_not_repeat_all_versions_that_were_named(stored):
    many = ", ".join(f'W/"{number}"' for number in range(100, 2_000))
    answer = changed(stored, "PUT", "Patient/1", many)
    answer.refused(412, "conflict", "http.If-Match", text="107, 108, 109 and more, but Patient/1 is at version 3")


@pytest.mark.parametrize("more", ["_count=1", "_total=none", "_containedType=contained", "_sort=_id", "_count=0"])
def test_what_is_no_criterion_is_refused_among_criteria(stored, more):
    """`_count=1` looks as if the first of several was meant; `_sort` was refused, and this passed over."""
    asked = f"identifier=1&{more}"
    name = more.partition("=")[0]
    stored.post("Patient", patient(), If_None_Exist=asked).refused(400, "invalid", name)
    stored.put(f"Patient?{asked}", patient()).refused(400, "invalid", name)
    stored("PATCH", f"Patient?{asked}", PATCH, **MERGE).refused(400, "invalid", name)
    stored.post("", bundle(post(patient(), ifNoneExist=asked))).refused(
        400, "invalid", "Bundle.entry[0].request.ifNoneExist")
    referring = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": f"Patient?{asked}"}}
    stored.post("", bundle(post(referring))).refused(400, "invalid", "Bundle.entry[0].resource.subject.reference")
    if name != "_count":  # it says how many may go
        stored.delete(f"Patient?{asked}").refused(400, "invalid", name)
    assert (stored.total("Patient"), stored.get("Patient/1").vid) == (1, "3")
