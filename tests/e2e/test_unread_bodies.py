"""A refusal that does not wait for the body: the client reads it whole, and knows whether the connection stays."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

MEGABYTES = 3_000_000
JSON = "application/fhir+json"
#: name, path, token, content type, bytes of the body, status
REFUSED = (
    ("no token", "/fhir/Patient", None, JSON, MEGABYTES, 401),
    ("wrong token", "/fhir/Patient", "x", JSON, MEGABYTES, 401),
    ("unknown type", "/fhir/Nothing", "own", JSON, MEGABYTES, 404),
    ("unknown page", "/nothing", "own", JSON, MEGABYTES, 404),
    ("wrong format", "/fhir/Patient", "own", "text/plain", MEGABYTES, 415),
    ("too large", "/fhir/Patient", "own", JSON, 33_000_000, 413),
    ("too large without a token", "/fhir", None, JSON, 33_000_000, 401),
    ("administration", "/admin/clients", "own", "application/json", MEGABYTES, 403),
    ("wrong method", "/health", "own", "application/json", MEGABYTES, 405),
)


@pytest.fixture(scope="module")
def exchange(shared: Callable[..., Any]) -> Any:
    return shared(workers=2)


def head(exchange: Any, path: str, token: str | None, content_type: str, *lines: str) -> bytes:
    sent = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{exchange.port}", f"Content-Type: {content_type}", *lines]
    if token is not None:
        sent.append(f"Authorization: Bearer {exchange.token if token == 'own' else token}")
    return ("\r\n".join(sent) + "\r\n\r\n").encode()


def chunked(size: int) -> bytes:
    return b"10000\r\n" + b"x" * 65_536 + b"\r\n" if size == 65_536 else b"".join(
        chunked(65_536) for _ in range(size // 65_536)) + b"0\r\n\r\n"


class Connection:
    """One keep-alive connection, of which every answer is read by its Content-Length."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self.socket = socket.create_connection(("127.0.0.1", exchange.port), timeout=20)
        self._found = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.socket.sendall(part)

    def answer(self) -> tuple[int, bool, bytes]:
        """Return status, whether the connection is said to close, and the body."""
        while b"\r\n\r\n" not in self._found:
            self._more()
        top, _, self._found = self._found.partition(b"\r\n\r\n")
        told = re.search(rb"content-length: ([0-9]+)", top, re.IGNORECASE)
        assert told is not None, top
        length = int(told[1])
        while len(self._found) < length:
            self._more()
        body, self._found = self._found[:length], self._found[length:]
        return int(top[9:12]), b"connection: close" in top.lower(), body

    def stays(self) -> bool:
        """Ask for something on this connection."""
        self.send(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{self._exchange.port}\r\n\r\n".encode())
        return self.answer()[0] == 200

    def is_answered(self) -> bool:
        with selectors.DefaultSelector() as selector:  # select() takes no descriptor above 1,023
            selector.register(self.socket, selectors.EVENT_READ)
            return bool(selector.select(0.2))

    def ended(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except OSError:
            return True

    def _more(self) -> None:
        part = self.socket.recv(65_536)
        assert part, "the connection ended before the answer did"
        self._found += part


def test_a_connection_outlives_the_refusal_of_a_body(exchange: Any) -> None:
    for name, path, token, content_type, size, status in REFUSED:
        for form in ("counted", "chunked"):
            length = f"Content-Length: {size}" if form == "counted" else "Transfer-Encoding: chunked"
            with Connection(exchange) as connection:
                connection.send(head(exchange, path, token, content_type, length))
                connection.send(b"x" * size if form == "counted" else chunked(size))
                found, closes, body = connection.answer()
                assert (found, closes) == (status, False), (name, form)
                assert b'"OperationOutcome"' in body, (name, form)
                assert connection.stays(), (name, form)


def test_a_client_that_asks_first_or_sends_nothing_is_told_that_the_connection_closes(exchange: Any) -> None:
    for token, status in ((None, 401), ("own", 413)):
        lines = (f"Content-Length: {33_000_000}", "Expect: 100-continue")
        with Connection(exchange) as connection:
            connection.send(head(exchange, "/fhir/Patient", token, JSON, *lines))
            found, closes, body = connection.answer()
            assert (found, closes) == (status, True)  # and no 100 (Continue) before it
            assert b'"OperationOutcome"' in body
            assert connection.ended()
    with Connection(exchange) as connection:  # one that is taken is asked for
        body = b'{"resourceType":"Patient"}'
        connection.send(head(exchange, "/fhir/Patient", "own", JSON, f"Content-Length: {len(body)}",
                             "Expect: 100-continue"))
        assert connection.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(body)
        assert connection.answer()[:2] == (201, False)
        assert connection.stays()
    with ExitStack() as opened:
        silent = [opened.enter_context(Connection(exchange)) for _ in range(12)]
        for connection in silent:  # more than may be waited for at once, and none of them ever sends
            connection.send(head(exchange, "/fhir/Patient", None, JSON, f"Content-Length: {MEGABYTES}"))
        assert exchange.request("GET", "/fhir/Patient")[0] == 200
        assert exchange.request("POST", "/fhir/Patient", {"resourceType": "Patient"})[0] == 201
        until, answered = time.monotonic() + 20, []
        while len(answered) < 12 - 2 * 2 and time.monotonic() < until:  # two processes wait for two each
            answered = [connection for connection in silent if connection.is_answered()]
        assert len(answered) >= 12 - 2 * 2
        for connection in answered:
            assert connection.answer()[:2] == (401, True)
            assert connection.ended()
    with Connection(exchange) as connection:  # too much to throw away
        connection.send(head(exchange, "/fhir/Patient", None, JSON, "Content-Length: 5000000000"))
        assert connection.answer()[:2] == (401, True)


def stored(exchange: Any) -> int:
    status, bundle, _ = exchange.request("GET", "/fhir?_type=Patient,Binary&_summary=count")
    assert status == 200
    return int(bundle["total"])


def test_an_upload_that_ends_early_writes_nothing_and_costs_only_its_connection(exchange: Any) -> None:
    before = stored(exchange)
    for path, token in (("/fhir/Patient", "own"), ("/fhir/Patient", None), ("/fhir/Binary", "own"), ("/nothing", None)):
        with Connection(exchange) as connection:
            connection.send(head(exchange, path, token, JSON, "Content-Length: 500"), b'{"resourceType":"Patient"}')
            connection.socket.shutdown(socket.SHUT_WR)
            found = connection.socket.recv(65_536)
            assert found[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 404"), found
    assert stored(exchange) == before
