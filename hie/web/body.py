"""Reading a request's body: bounded, whole, and in a format that is taken.

The bytes come from wsgi.input itself: Werkzeug's stream would read a chunked body as an empty one.
A thread that reads waits as long as its client is silent, and nothing but the end of the connection ends the wait. So
only some threads may read at once: the others go on answering requests that have no body.
"""

from __future__ import annotations

from functools import cache
from threading import BoundedSemaphore
from typing import Any

from hie.errors import Busy, InvalidRequest, TooLarge
from hie.web import compression, unread

_CHUNK = 1 << 20
#: Bodies that are already here give up their place far sooner.
_PLACE_SECONDS = 0.25


def read(environ: dict[str, Any], most: int, threads: int = 16) -> bytes:
    """Return the whole body; 413 where it is too large, 400 where it breaks off, 503 where too many come slowly.

    Its coding is taken off (Content-Encoding), and the limit holds before and after.

    `threads` is how many threads answer requests; three quarters of them at most read at once.
    """
    places = _places(threads)
    if not places.acquire(timeout=_PLACE_SECONDS):
        raise Busy("Too many clients are sending their bodies slowly; nothing was done.")
    try:
        body = _read(environ, most)
    finally:
        places.release()
    environ[unread.READ] = True
    coding = environ.get("HTTP_CONTENT_ENCODING")
    return body if coding is None else compression.decoded(body, coding, most)


@cache
def _places(threads: int) -> BoundedSemaphore:
    return BoundedSemaphore(max(1, threads * 3 // 4))


def _read(environ: dict[str, Any], most: int) -> bytes:
    length = environ.get("CONTENT_LENGTH")
    if length:
        return _read_counted(environ["wsgi.input"], _length(length), most)
    # HTTP/2 ends a body by a flag, with neither header: https://www.rfc-editor.org/rfc/rfc9113#section-8.1
    if environ.get("HTTP_TRANSFER_ENCODING") or environ.get("SERVER_PROTOCOL") == "HTTP/2":
        return _read_to_end(environ["wsgi.input"], most)
    return b""


def is_counted(environ: dict[str, Any]) -> bool:
    """Tell whether the client said how long the body is; without it a part may pass for the whole."""
    return bool(environ.get("CONTENT_LENGTH"))


def _length(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise InvalidRequest(f"Content-Length {text[:40]!r} is no length.", expression="http.Content-Length")
    return int(text)


def _read_counted(stream: Any, length: int, most: int) -> bytes:
    if length > most:
        raise _too_large(most)
    parts: list[bytes] = []
    missing = length
    while missing:
        part = _part(stream, missing)
        if not part:
            raise InvalidRequest(f"The body breaks off after {length - missing} of {length} bytes; nothing was done.",
                                 expression="http.Content-Length")
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_to_end(stream: Any, most: int) -> bytes:
    parts: list[bytes] = []
    found = 0
    while part := _part(stream, _CHUNK):
        found += len(part)
        if found > most:
            raise _too_large(most)
        parts.append(part)
    return b"".join(parts)


def _part(stream: Any, size: int) -> bytes:
    try:
        part: bytes = stream.read(size)
    except (OSError, ValueError) as error:  # the client went away, or its chunks are no chunks
        raise InvalidRequest("The body broke off while it was read; nothing was done.") from error
    return part


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body is larger than the {most} bytes that are taken at once.",
                    expression="http.Content-Length")
