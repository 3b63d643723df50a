"""Headers are read as the standards say, and what is not offered is refused with what is."""

import pytest

from hie.errors import InvalidRequest, NotAcceptable, UnsupportedMediaType
from hie.web.negotiation import accepted, is_json, preferences, refuse_unacceptable, wants_fhir


@pytest.mark.parametrize(
    ("accept", "fhir", "named"),
    [
        (None, True, False),
        ("*/*", True, False),
        ("application/fhir+json", True, True),
        ("application/json;q=0.5, text/html", True, False),
        ("text/html, application/xhtml+xml, */*;q=0.8", True, False),
        ("application/fhir+xml", False, False),
        ("application/fhir+json;q=0, */*;q=0", False, False),
        ("application/fhir+json; fhirVersion=3.0", False, False),
        ("application/fhir+json; fhirVersion=4.0", True, True),
        ("image/png, application/fhir+json;q=0.1", True, False),
        ("application/fhir+xml;q=0.1, application/fhir+json", True, True),
        ("application/fhir+json;q=nonsense", False, False),
    ],
)
def test_an_accept_header_says_what_the_client_takes(accept, fhir, named):
    assert accepted(accept) == (fhir, named)


def test_format_goes_before_the_accept_header():
    assert wants_fhir("application/fhir+xml", "json") == (True, True)
    assert wants_fhir(None, "application/fhir json").fhir  # a plus that was not encoded
    with pytest.raises(NotAcceptable) as caught:
        wants_fhir("application/fhir+json", "xml")
    assert "application/fhir+json" in caught.value.diagnostics


def test_what_is_not_offered_is_refused_with_what_is():
    with pytest.raises(NotAcceptable) as caught:
        refuse_unacceptable(accepted("text/turtle"), "text/turtle")
    assert caught.value.issues[0].expression == "http.Accept"
    assert "application/fhir+json" in caught.value.diagnostics


@pytest.mark.parametrize(
    "content_type",
    ["application/fhir+json", "application/json", "text/json", 'application/fhir+json; charset="UTF-8"',
     "Application/FHIR+JSON;charset=utf-8"],
)
def test_fhir_json_is_known_under_its_names(content_type):
    assert is_json(content_type)


@pytest.mark.parametrize("content_type", [None, "", "application/fhir+xml", "text/plain", "image/png"])
def test_other_formats_are_not_json(content_type):
    assert not is_json(content_type)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=latin-1", "application/fhir+json; fhirVersion=3.0"]
)
def test_json_in_another_charset_or_version_is_refused(content_type):
    with pytest.raises(UnsupportedMediaType):
        is_json(content_type)


def test_preferences_are_read_and_unknown_ones_ignored():
    found = preferences("return=minimal; handling=lenient, wait=10", "representation")
    assert (found.return_, found.handling) == ("minimal", "lenient")
    assert preferences(None, "representation").return_ == "representation"


@pytest.mark.parametrize("prefer", ["return=everything", "handling=loose", "respond-async"])
def test_a_preference_that_cannot_be_met_is_refused(prefer):
    with pytest.raises(InvalidRequest):
        preferences(prefer, "representation")
