"""Headers are read as the standards say, and what is not offered is refused with what is."""

import pytest

from hie.errors import NotAcceptable, UnsupportedMediaType
from hie.web.negotiation import accepted, is_json, is_xml, of_refusal, preferences, refuse_unacceptable, wants_fhir


@pytest.mark.parametrize(
    ("accept", "fhir", "named", "xml"),
    [
        (None, True, False, False),
        ("", True, False, False),
        ("*/*", True, False, False),
        ("application/fhir+json", True, True, False),
        ("application/json;q=0.5, text/html", True, False, False),
        ("text/html, application/xhtml+xml, */*;q=0.8", True, False, False),
        ("application/fhir+json;q=0, */*;q=0", False, False, False),
        ("application/fhir+json; fhirVersion=3.0", False, False, False),
        ("application/fhir+json; fhirVersion=4.0", True, True, False),
        ("application/fhir+json; charset=utf-8; fhirVersion=4.0.1; q=0.3", True, True, False),
        ("image/png, application/fhir+json;q=0.1", True, False, False),
        ("application/fhir+json;q=nonsense", False, False, False),
        ("application/fhir+xml", True, True, True),
        ("APPLICATION/FHIR+XML;Q=0.5", True, True, True),
        ("text/xml", True, False, True),
        ("application/xml;fhirVersion=4.0", True, False, True),
        ("application/fhir+xml;fhirVersion=5.0", False, False, False),
        ("application/fhir+xml;fhirVersion=5.0, application/fhir+json;fhirVersion=4.0", True, True, False),
        ("application/fhir+xml;q=0.1, application/fhir+json", True, True, False),
        ("application/fhir+json;q=0.1, application/fhir+xml", True, True, True),
        ("application/fhir+xml, application/fhir+json", True, True, True),
        ("application/fhir+json, application/fhir+xml", True, True, False),
        ("application/fhir+xml, */*", True, True, True),
        ("application/fhir+xml;q=0.5, */*", True, False, False),
        ("*/*, application/fhir+json;q=0", True, False, True),
        ("text/html, application/xml;q=0.9, */*;q=0.8", True, False, True),
        ("image/png, application/fhir+xml;q=0.1", True, False, True),
        ("text/*", True, False, False),
        ("text/*, application/fhir+json;q=0", True, False, True),
        ("text/xml;q=0, text/*", True, False, False),
        ("text/*;q=0.5, application/fhir+xml;q=0.2", True, False, False),
        ("text/*;q=0.2, application/fhir+xml;q=0.5", True, True, True),
        ("text/*;q=0, */*", True, False, False),
        ("application/fhir+json;q=0.5, text/*", True, True, False),
        ("text/*;q=0", False, False, False),
        ("application/*;q=0, */*", True, False, False),
        ("text/html, image/gif, *; q=.2", True, False, False),
        ("application/fhir+ndjson", False, False, False),
        ("application/fhir+turtle, text/html", False, False, False),
    ],
)
def test_an_accept_header_says_what_the_client_takes(accept, fhir, named, xml):
    assert accepted(accept)[:3] == (fhir, named, xml)


@pytest.mark.parametrize(
    ("accept", "generic"),
    [
        (None, ""),
        ("application/fhir+json", ""),
        ("application/json", "application/json"),
        ("Text/JSON; charset=utf-8", "text/json"),
        ("application/xml", "application/xml"),
        ("text/xml;q=0.5, */*;q=0.1", "text/xml"),
        ("application/json, application/fhir+json", ""),
        ("application/json, application/fhir+json;q=0.9", "application/json"),
        ("application/json;q=0.5, application/fhir+xml", ""),
        ("application/fhir+json;q=0.5, text/xml, application/xml", "text/xml"),
        ("application/json;q=0, */*", ""),
        ("application/json; fhirVersion=3.0, application/fhir+json", ""),
        ("image/png", ""),
        ("text/*", "text/json"),
        ("text/*, application/fhir+json;q=0", "text/xml"),
        ("text/*, */*", ""),
        ("text/*, */*;q=0.1", "text/json"),
        ("text/*, application/fhir+json;q=0.5", "text/json"),
        ("text/*;q=0.2, application/xml;q=0.5", "application/xml"),
        ("application/*;q=0, */*", "text/json"),
        ("*", ""),
    ],
)
def test_who_asks_by_a_generic_media_type_is_answered_in_it(accept, generic):
    assert accepted(accept).generic == generic


@pytest.mark.parametrize("format_", ["xml", "text/xml", "application/xml", "application/fhir+xml",
                                     "application/fhir xml", "application/fhir+xml; fhirVersion=4.0"])
def test_format_goes_before_the_accept_header(format_):
    assert wants_fhir("application/fhir+xml", "json") == (True, True, False, "")
    assert wants_fhir(None, "application/fhir json").fhir  # a plus that was not encoded
    assert wants_fhir("application/fhir+json", format_) == (True, True, True, "")


@pytest.mark.parametrize(("format_", "text"), [("ttl", "application/fhir+xml"), ("html", "application/fhir+json"),
                                               ("ndjson", "bulk files alone"), ("json;fhirVersion=5.0", "FHIR 4.0")])
def test_a_format_that_is_not_offered_is_refused(format_, text):
    with pytest.raises(NotAcceptable) as caught:
        wants_fhir("application/fhir+json", format_)
    assert text in caught.value.diagnostics


@pytest.mark.parametrize(
    ("accept", "query", "xml"),
    [
        (None, "", False),
        ("application/fhir+xml", "", True),
        ("application/fhir+xml", "_format=json", False),
        (None, "a=%ff&_format=xml", True),
        ("text/turtle", "_format=ttl", False),
        ("application/fhir+xml", "&".join("a=1" for _ in range(5000)), True),
    ],
)
def test_a_refusal_is_written_as_wanted(accept, query, xml):
    assert of_refusal(accept, query) == xml


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


@pytest.mark.parametrize(
    ("content_type", "resource", "binary"),
    [
        ("application/fhir+xml", True, True),
        ("application/fhir+xml; charset=UTF-8; fhirVersion=4.0", True, True),
        ("text/xml", True, False),  # as the content of a Binary it may be any XML, a CDA document for instance
        ("application/xml", True, False),
        ("application/fhir+json", False, False),
        (None, False, False),
    ],
)
def test_fhir_xml_is_known_under_its_names(content_type, resource, binary):
    assert (is_xml(content_type), is_xml(content_type, is_binary=True)) == (resource, binary)


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
    first = preferences("return=minimal, return=representation, handling=lenient, handling=strict", "representation")
    assert (first.return_, first.handling) == ("minimal", "lenient")
    prefers = (None, "respond-async", "return=minimal, Respond-Async")
    assert [preferences(one, "minimal").respond_async for one in prefers] == [False, True, True]


@pytest.mark.parametrize("prefer", ["return=everything", "return=", "handling=loose", "return=a; handling=b"])
def test_values_of_preferences_that_are_not_known_are_ignored(prefer):
    assert preferences(prefer, "minimal") == preferences(None, "minimal")
    assert preferences(f"return=OperationOutcome, {prefer}", "minimal").return_ == "OperationOutcome"
