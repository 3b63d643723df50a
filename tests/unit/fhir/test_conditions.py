"""Conditional headers are read as RFC 9110 and FHIR say."""

import pytest

from hie.errors import InvalidRequest, PreconditionFailed
from hie.fhir.conditions import WantedVersions, etag, unchanged, wanted_versions
from hie.fhir.http import Conditions

AT = 1_600_000_000_123_000  # 2020-09-13T12:26:40.123Z


@pytest.mark.parametrize(
    ("text", "vids"), [('W/"3"', {3}), ('"3"', {3}), (' W/"12" ', {12}), ('W/"1" , "2"', {1, 2}), ('W/"x","2"', {2})]
)
def test_if_match_names_versions(text, vids):
    assert wanted_versions(Conditions(if_match=text)) == WantedVersions(frozenset(vids))


def test_etag_and_if_match_are_inverse():
    assert wanted_versions(Conditions(if_match=etag(7))) == WantedVersions(frozenset({7}))


@pytest.mark.parametrize(
    ("text", "vid", "allowed"),
    [("*", 9, True), ("*", None, False), ('"1","2"', 2, True), ('"1","2"', 3, False), ('"1","2"', None, False)],
)
def test_a_version_is_one_of_those_that_are_wanted(text, vid, allowed):
    wanted = wanted_versions(Conditions(if_match=text))
    assert wanted is not None
    assert wanted.allow(vid) is allowed


@pytest.mark.parametrize("text", ["3", "W/3", "*,*", 'W/"1" W/"2"', 'W/"1",', ""])
def test_a_malformed_if_match_is_refused(text):
    with pytest.raises(InvalidRequest) as caught:
        wanted_versions(Conditions(if_match=text))
    assert caught.value.issues[0].expression == "http.If-Match"


def test_a_tag_that_no_version_has_fails_the_precondition():
    with pytest.raises(PreconditionFailed):
        wanted_versions(Conditions(if_match='W/"abc", "0"'))


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (Conditions(if_none_match='W/"3"'), True),
        (Conditions(if_none_match='W/"1", "3"'), True),
        (Conditions(if_none_match='W/"2"'), False),
        (Conditions(if_none_match="*"), True),
        (Conditions(if_none_match="3"), True),
        (Conditions(if_none_match="2"), False),
        (Conditions(if_modified_since="Sun, 13 Sep 2020 12:26:40 GMT"), True),
        (Conditions(if_modified_since="Sun, 13 Sep 2020 12:26:39 GMT"), False),
        (Conditions(if_modified_since="2020-09-13T12:26:40.123Z"), True),
        (Conditions(if_modified_since="2020-09-13T12:26:40.122Z"), False),
        (Conditions(if_none_match='W/"2"', if_modified_since="Sun, 13 Sep 2020 12:26:40 GMT"), False),
        (Conditions(if_modified_since="yesterday"), False),  # RFC 9110 section 13.1.3: it must be ignored
        (Conditions(), False),
    ],
)
def test_a_read_is_unchanged_where_the_client_has_the_version(conditions, expected):
    assert unchanged(conditions, 3, AT) is expected


@pytest.mark.parametrize(
    "conditions",
    [Conditions(if_none_match="three"), Conditions(if_none_match="3x"), Conditions(if_none_match="03")],
)
def test_a_malformed_condition_of_a_read_is_refused(conditions):
    with pytest.raises(InvalidRequest):
        unchanged(conditions, 3, AT)
