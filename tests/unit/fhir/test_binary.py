"""A Binary's own format and its resource are two forms of one content."""

import pytest

from hie.errors import InvalidRequest
from hie.fhir.binary import opened, wrapped


def test_content_comes_back_as_it_was():
    content = bytes(range(256))
    resource = wrapped(content, "application/dicom", "Patient/1", None)
    assert resource["securityContext"] == {"reference": "Patient/1"}
    assert opened(resource) == (content, "application/dicom")


@pytest.mark.parametrize("content_type", ["png", "image/", "image/png\r\nX: y", "image/png; a=b c", "ä/b"])
def test_a_content_type_that_is_none_is_refused(content_type):
    with pytest.raises(InvalidRequest) as caught:
        wrapped(b"x", content_type, None, None)
    assert caught.value.issues[0].expression == "Binary.contentType"


def test_no_content_is_refused():
    with pytest.raises(InvalidRequest):
        wrapped(b"", "image/png", None, None)


def test_a_stored_media_type_that_is_none_is_not_sent_as_a_header():
    resource = {"resourceType": "Binary", "contentType": "a\r\nb", "data": "eA=="}
    assert opened(resource) == (b"x", "application/octet-stream")
