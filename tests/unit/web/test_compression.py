"""Codings are chosen as RFC 9110 says, and nothing that is sent unpacks beyond the limit."""

import gzip
import tracemalloc
import zlib
from functools import partial

import brotli
import pytest

from hie.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from hie.web.compression import chosen, compressed, decoded
from hie.web.reply import Reply

TEXT = b'{"resourceType":"Bundle"}' * 200


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("gzip, deflate, br", "br"), ("gzip", "gzip"), ("x-gzip", "gzip"), ("GZIP;Q=0.5", "gzip"), ("*", "br"),
        ("br;q=0.5, gzip", "gzip"), ("br;q=0, *", "gzip"), ("gzip;q=0, br;q=0", None), ("identity", None), ("", None),
        ("deflate, zstd", None), ("identity, gzip;q=0.5", None), ("identity;q=0.5, gzip", "gzip"),
        ("gzip;q=nonsense", None), ("gzip;level=9", None), (", ,gzip", "gzip"),
    ],
)  # fmt: skip
def test_the_coding_is_the_one_with_the_highest_quality(header, coding):
    assert chosen(header) == coding


@pytest.mark.parametrize(("coding", "opened"), [("gzip", gzip.decompress), ("br", brotli.decompress)])
def test_a_text_is_compressed_and_an_image_is_not(coding, opened):
    headers = [("ETag", "a"), ("Content-Type", "application/fhir+json; charset=utf-8")]
    reply = compressed(Reply(200, headers, TEXT), coding)
    assert opened(reply.body) == TEXT
    assert (reply.headers[0], reply.headers[-1]) == (("ETag", "a"), ("Content-Encoding", coding))
    image = Reply(200, [("Content-Type", "image/png")], TEXT)
    assert compressed(image, coding) is image


PACKED = {"gzip": gzip.compress, "x-gzip": gzip.compress, "br": brotli.compress, "GZIP, identity": gzip.compress}


@pytest.mark.parametrize(("coding", "packed"), PACKED.items())
def test_a_body_is_unpacked(coding, packed):
    assert decoded(packed(TEXT), coding, len(TEXT)) == TEXT
    assert decoded(packed(b""), coding, 10) == b""
    assert decoded(b"", coding, 10) == b""


def test_a_body_may_be_several_gzip_streams_and_not_thousands():
    assert decoded(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", 2) == b"ab"
    with pytest.raises(InvalidRequest):
        decoded(gzip.compress(b"") * 100_000, "gzip", 10)


@pytest.mark.parametrize(("coding", "packed"), [("gzip", gzip.compress), ("br", partial(brotli.compress, quality=5))])
def test_a_bomb_is_refused_before_it_unpacks(coding, packed):
    bomb = packed(bytes(200_000_000))
    assert len(bomb) < 200_000
    tracemalloc.start()
    with pytest.raises(TooLarge) as caught:
        decoded(bomb, coding, 1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert caught.value.issues[0].expression == "http.Content-Encoding"
    with pytest.raises(TooLarge):
        decoded(packed(bytes(600_000)) * (2 if coding == "gzip" else 1), coding, 599_999)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"no gzip"), ("gzip", gzip.compress(TEXT)[:-1]), ("gzip", gzip.compress(TEXT) + b"x"),
        ("gzip", zlib.compress(TEXT)), ("br", b"no brotli"), ("br", brotli.compress(TEXT)[:-1]),
        ("br", brotli.compress(TEXT) + b"x"), ("br", b"\x00"),
    ],
)  # fmt: skip
def test_what_is_not_sound_is_refused(coding, body):
    with pytest.raises(InvalidRequest) as caught:
        decoded(body, coding, 10_000_000)
    assert caught.value.status == 400


@pytest.mark.parametrize("coding", ["deflate", "zstd", "gzip, br", "gzip;q=1", "gzip, gzip"])
def test_a_coding_that_is_not_known_is_refused_with_those_that_are(coding):
    with pytest.raises(UnsupportedMediaType) as caught:
        decoded(b"x", coding, 10)
    assert caught.value.headers["Accept-Encoding"] == "br, gzip"
