"""The route table reads a method and a URL as one interaction, or says what is wrong with them."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hie.errors import InvalidRequest, MethodNotAllowed, NotFound, UnknownType
from hie.fhir.routes import ROUTES, allowed, parse, parse_query

CASES = [
    ("GET", "metadata", "", ("capabilities", None, None)),
    ("GET", "OperationDefinition/-hie-diff", "", ("definition", "OperationDefinition", "-hie-diff")),
    ("GET", "OperationDefinition/-hie", "", ("read", "OperationDefinition", "-hie")),
    ("GET", "Patient/-hie-diff", "", ("read", "Patient", "-hie-diff")),
    ("POST", "", "", ("transaction", None, None)),
    ("GET", "_history", "", ("history-system", None, None)),
    ("GET", "_async/0f1e", "", ("async-status", None, "0f1e")),
    ("DELETE", "_async/0f1e", "", ("async-cancel", None, "0f1e")),
    ("GET", "_async/0f1e/Patient.1.ndjson", "", ("async-file", None, "0f1e")),
    ("GET", "", "_type=Patient", ("search-system", None, None)),
    ("POST", "_search", "", ("search-system", None, None)),
    ("GET", "Patient/1/Observation", "code=a", ("search-type", "Observation", None)),
    ("POST", "Patient/1/Observation/_search", "", ("search-type", "Observation", None)),
    ("GET", "Device/1/*", "", ("search-system", None, None)),
    ("POST", "Encounter/1/_search", "", ("search-system", None, None)),
    ("GET", "Patient", "name=a", ("search-type", "Patient", None)),
    ("POST", "Patient/_search", "", ("search-type", "Patient", None)),
    ("POST", "Patient", "", ("create", "Patient", None)),
    ("PUT", "Patient", "identifier=a", ("update", "Patient", None)),
    ("PATCH", "Patient", "identifier=a", ("patch", "Patient", None)),
    ("PATCH", "Patient/1", "", ("patch", "Patient", "1")),
    ("DELETE", "Patient", "identifier=a", ("delete", "Patient", None)),
    ("GET", "Patient/_history", "", ("history-type", "Patient", None)),
    ("GET", "Patient/1", "", ("read", "Patient", "1")),
    ("HEAD", "Patient/1", "", ("read", "Patient", "1")),
    ("PUT", "Patient/a.B-9", "", ("update", "Patient", "a.B-9")),
    ("DELETE", "Patient/1", "", ("delete", "Patient", "1")),
    ("GET", "Patient/1/_history", "", ("history-instance", "Patient", "1")),
    ("GET", "Patient/1/_history/7", "", ("vread", "Patient", "1")),
    ("DELETE", "Patient/1/_history", "", ("delete-history", "Patient", "1")),
    ("DELETE", "Patient/1/_history/7", "", ("delete-history", "Patient", "1")),
    ("GET", "$x", "", ("operation", None, None)),
    ("POST", "Patient/$x", "", ("operation", "Patient", None)),
    ("POST", "Patient/1/$x-y", "", ("operation", "Patient", "1")),
    ("GET", "Patient/1/_history/7/$x", "", ("operation", "Patient", "1")),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "query", "expected"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_each_address_is_one_interaction(method, path, query, expected):
    found = parse(method, path, query)
    assert (found.interaction, found.type, found.id) == expected
    assert found.method == method


def test_every_line_of_the_table_is_reached_by_a_case_above():
    reached = {(parse(method, path, query).interaction, method) for method, path, query, _ in CASES}
    assert {(route.interaction, route.method) for route in ROUTES} <= reached


def test_a_version_and_an_operation_are_read_from_the_last_part():
    assert parse("GET", "Patient/1/_history/7").vid == "7"
    assert parse("GET", "Patient/1/$everything").operation == "everything"
    both = parse("POST", "Patient/1/_history/7/$meta")
    assert (both.vid, both.operation) == ("7", "meta")
    with pytest.raises(NotFound):
        parse("GET", "Patient/1/_history/x/$meta")


@pytest.mark.parametrize("id_", ["A_B", "a" * 65, ".", "..", "a b", "ä", "a\x00", "_x", "*", "a\n", "1%2F2"])
def test_an_id_that_fhir_does_not_allow_is_refused_naming_it(id_):
    with pytest.raises(InvalidRequest) as caught:
        parse("GET", f"Patient/{id_}")
    assert caught.value.issues[0].expression in ("Patient.id", "http.url")


@pytest.mark.parametrize(
    "path", ["Patient//1", "Patient//", "Patient/1//", "/Patient/1", "/", "//", "metadata//", "Patient/1/_history//"]
)
def test_an_empty_part_of_the_path_is_nothing(path):
    with pytest.raises((NotFound, InvalidRequest)):
        parse("GET", path)


@pytest.mark.parametrize(("method", "path", "query", "expected"), [case for case in CASES if case[1]],
                         ids=[f"{c[0]} {c[1]}/" for c in CASES if c[1]])  # fmt: skip
def test_an_address_means_the_same_with_a_slash_behind_it(method, path, query, expected):
    if (method, path) == ("DELETE", "Patient/1/_history"):
        with pytest.raises(NotFound, match="slash"):  # an empty version would stand for all of them
            parse(method, path + "/", query)
        return
    assert parse(method, path + "/", query) == parse(method, path, query)
    assert allowed(path + "/") == allowed(path)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_change_without_an_id_needs_criteria_with_a_slash_too(method):
    with pytest.raises(InvalidRequest, match=f"{method} Patient needs search criteria in the URL, or an id"):
        parse(method, "Patient/")


@pytest.mark.parametrize("path", ["Patient/../Patient/1", "../admin", "Patient/1/..", "Patient\\1/x", "Pati%65nt/1/x"])
def test_path_tricks_are_refused(path):
    with pytest.raises((NotFound, InvalidRequest)):
        parse("GET", path)


def test_an_unknown_type_is_told_from_an_unknown_address():
    with pytest.raises(UnknownType):
        parse("GET", "Patients/1")
    with pytest.raises(UnknownType):
        parse("GET", "DomainResource")
    with pytest.raises(NotFound) as caught:
        parse("GET", "_nothing")
    assert type(caught.value) is NotFound


def test_a_wrong_method_names_those_that_are_allowed():
    with pytest.raises(MethodNotAllowed) as caught:
        parse("POST", "Patient/1")
    assert caught.value.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    assert "Allowed: DELETE, GET, HEAD, OPTIONS, PATCH, PUT" in caught.value.diagnostics


def test_a_compartment_is_read_from_the_address():
    assert parse("GET", "Patient/1/Observation").compartment == ("Patient", "1")
    assert parse("POST", "Patient/1/_search").compartment == ("Patient", "1")
    assert parse("GET", "Patient/1").compartment is None
    for path in ("Medication/1/Observation", "Patient/1/Medication", "Patient/1/*/_search", "Patient/1/Observation/x"):
        with pytest.raises(NotFound):
            parse("GET", path)


def test_a_conditional_change_without_criteria_is_refused():
    for method in ("PUT", "PATCH", "DELETE"):
        with pytest.raises(InvalidRequest):
            parse(method, "Patient")


def test_a_version_id_that_can_be_none_of_ours_is_not_found():
    with pytest.raises(NotFound):
        parse("GET", "Patient/1/_history/abc")
    with pytest.raises(InvalidRequest):
        parse("GET", "Patient/1/_history/a_b")


def test_parameters_keep_their_order_and_empty_values():
    assert parse_query("b=1&a=&b=%C3%A9+x") == (("b", "1"), ("a", ""), ("b", "é x"))


@given(st.lists(st.text("ab=&+%2cC3A9é;|\u20ac \\"), max_size=6).map("&".join))
def test_parameters_are_read_as_the_standard_library_reads_them(query):
    try:
        expected = tuple(parse_qsl(query, keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        with pytest.raises(InvalidRequest):
            parse_query(query)
    else:
        assert parse_query(query) == expected


@pytest.mark.parametrize("query", ["a=%ff", "a\x00=1", "a=%00", "&".join(f"p{n}=1" for n in range(1001))])
def test_parameters_that_are_no_text_or_too_many_are_refused(query):
    with pytest.raises(InvalidRequest):
        parse_query(query)
