"""Bodies that a refusal did not wait for: https://www.rfc-editor.org/rfc/rfc9112#section-9.6

A 401, 404, 413 or 415 is known before the body is read, while the client may still be sending. The HTTP server closes a
connection whose request was not read to its end: what the client still sends is answered by a reset, which may
overtake the refusal, and its next request on that connection fails. So the rest is read and thrown away first, within
bounds; where they end before it does, `Connection: close` says what will happen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import BoundedSemaphore
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: The key in environ under which a reader says that it read the body to its end.
READ = "hie.body_read"
#: What is thrown away at most, where the settings do not take larger bodies.
BOUND = 64_000_000
#: How long an answer is held back for a client that keeps sending.
SECONDS = 10.0
#: Small enough that a slow client's time is looked at often: a read waits until it has as many bytes.
_CHUNK = 1 << 16
_CLOSE = ("Connection", "close")


class Unread:
    """A WSGI layer that sees to bodies which the application left unread.

    An eighth of the threads at most reads so at once, as whoever has no token can make one wait by being silent;
    for others the connection closes.
    """

    def __init__(self, application: Wsgi, bound: int, threads: int) -> None:
        self._application, self._bound = application, max(bound, BOUND)
        self._places = BoundedSemaphore(max(1, threads // 8))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH")
        if length in (None, "", "0") and "HTTP_TRANSFER_ENCODING" not in environ:
            return self._application(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            if READ not in environ and not self._is_emptied(environ):
                headers = [*headers, _CLOSE]
            return start_response(status, headers, *more)

        return self._application(environ, start)

    def _is_emptied(self, environ: dict[str, Any]) -> bool:
        """Throw the rest away; tell whether its end was reached, so that the connection can stay."""
        # A client that expects 100 (Continue) has sent nothing yet, and reading would tell it to begin.
        if "HTTP_EXPECT" in environ or _said(environ) > self._bound or not self._places.acquire(blocking=False):
            return False
        try:
            return self._reaches_end(environ["wsgi.input"])
        except (OSError, ValueError):
            return False  # the client went away, or its chunks are no chunks
        finally:
            self._places.release()

    def _reaches_end(self, stream: Any) -> bool:
        left, until = self._bound, time.monotonic() + SECONDS
        while left > 0 and time.monotonic() < until:
            part = stream.read(_CHUNK)
            if not part:
                return True
            left -= len(part)
        return False


def _said(environ: dict[str, Any]) -> int:
    """Return the length that the client named; 0 where it named none that can be read."""
    length = environ.get("CONTENT_LENGTH") or ""
    return int(length) if length.isascii() and length.isdigit() and len(length) <= 15 else 0
