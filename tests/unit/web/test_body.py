"""A body is read whole, within its limit, or refused."""

import io
import threading

import pytest

from hie.errors import Busy, InvalidRequest, TooLarge
from hie.web.body import read


class Slow(io.BytesIO):
    """Gives one byte at a time, as a slow client does."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(1)


class Broken:
    """Fails as a connection does that its client closed."""

    def read(self, size: int) -> bytes:
        raise OSError("connection reset")


def environ(stream, length=None, chunked=False):
    found = {"wsgi.input": stream}
    if length is not None:
        found["CONTENT_LENGTH"] = str(length)
    if chunked:
        found["HTTP_TRANSFER_ENCODING"] = "chunked"
    return found


def test_a_counted_body_is_read_whole_however_slowly_it_comes():
    assert read(environ(Slow(b"hello"), 5), 10) == b"hello"


def test_a_chunked_body_is_read_to_its_end():
    assert read(environ(io.BytesIO(b"hello"), chunked=True), 10) == b"hello"


def test_a_body_over_http_2_needs_no_length():
    assert read({**environ(io.BytesIO(b"hello")), "SERVER_PROTOCOL": "HTTP/2"}, 10) == b"hello"
    with pytest.raises(TooLarge):
        read({**environ(io.BytesIO(b"x" * 11)), "SERVER_PROTOCOL": "HTTP/2"}, 10)


def test_no_body_is_an_empty_one():
    assert read(environ(io.BytesIO(b"ignored")), 10) == b""


def test_a_body_that_breaks_off_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        read(environ(io.BytesIO(b"hel"), 5), 10)
    assert "3 of 5 bytes" in caught.value.diagnostics


def test_a_connection_that_breaks_is_refused():
    with pytest.raises(InvalidRequest):
        read(environ(Broken(), 5), 10)


def test_a_body_beyond_the_limit_is_not_read():
    with pytest.raises(TooLarge):
        read(environ(Broken(), 11), 10)
    with pytest.raises(TooLarge):
        read(environ(io.BytesIO(b"x" * 11), chunked=True), 10)


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "9" * 16, "+5"])
def test_a_length_that_is_none_is_refused(length):
    with pytest.raises(InvalidRequest):
        read(environ(io.BytesIO(b""), length), 10)


class Silent:
    """Gives nothing until its client goes away."""

    def __init__(self) -> None:
        self.gone = threading.Event()

    def read(self, size: int) -> bytes:
        self.gone.wait(30)
        return b""


def test_silent_clients_never_hold_every_thread():
    silent = Silent()
    refused: list[str] = []

    def wait() -> None:
        with pytest.raises((InvalidRequest, Busy)) as raised:
            read(environ(silent, 5), 10, threads=8)
        if raised.type is Busy:
            refused.append(str(raised.value))

    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(0.1)
    waiting = sum(thread.is_alive() for thread in threads)
    silent.gone.set()
    for thread in threads:
        thread.join(10)
    assert (waiting, len(refused)) == (6, 2)
    assert read(environ(io.BytesIO(b"hello"), 5), 10, threads=8) == b"hello"
