"""Clients that stop half-way, are slow, or send what HTTP does not allow: the others are answered all the same."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.builders import patient

BODY = b'{"resourceType":"Patient"}'


@pytest.fixture(scope="module")
def exchange(shared: Callable[..., Any]) -> Any:
    """One process with 32 threads has 24 places for bodies: over two, chance might bring too many to one of them."""
    return shared(workers=1, HIE_THREADS="32")


def head(exchange: Any, *lines: str, method: str = "POST", path: str = "/fhir/Patient") -> bytes:
    sent = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{exchange.port}", f"Authorization: Bearer {exchange.token}",
            "Content-Type: application/fhir+json", *lines]
    return ("\r\n".join(sent) + "\r\n\r\n").encode()


def connected(exchange: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", exchange.port), timeout=20)


def answer(connection: socket.socket) -> bytes:
    """Read one answer: its head, and as much of a body as the head says."""
    found = b""
    try:
        while b"\r\n\r\n" not in found or len(found.partition(b"\r\n\r\n")[2]) < _length(found):
            part = connection.recv(65_536)
            if not part:
                break
            found += part
    except OSError:
        pass  # the server closed; what came before is the answer
    return found


def _length(found: bytes) -> int:
    match = re.search(rb"content-length: ([0-9]+)", found, re.IGNORECASE)
    return int(match[1]) if match else 0


def patients(exchange: Any) -> int:
    status, bundle, _ = exchange.request("GET", "/fhir/Patient?_summary=count")
    assert status == 200
    return int(bundle["total"])


def test_uploads_that_break_off_write_nothing_and_hold_nobody_up(exchange: Any) -> None:
    before = patients(exchange)
    for lines, body in (
        (("Content-Length: 500",), BODY),
        (("Transfer-Encoding: chunked",), b"1a\r\n" + BODY[:10]),
        (("Content-Length: 500",), b""),
        ((), b""),
    ):
        with connected(exchange) as connection:
            connection.sendall(head(exchange, *lines) + body)
    assert patients(exchange) == before


def test_a_body_that_is_shorter_than_it_said_is_refused(exchange: Any) -> None:
    before = patients(exchange)
    with connected(exchange) as connection:
        connection.sendall(head(exchange, "Content-Length: 500") + BODY)
        connection.shutdown(socket.SHUT_WR)
        assert b"201" not in answer(connection)
    assert patients(exchange) == before


def test_a_chunked_body_is_read(exchange: Any) -> None:
    before = patients(exchange)
    with connected(exchange) as connection:
        chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in BODY) + b"0\r\n\r\n"
        connection.sendall(head(exchange, "Transfer-Encoding: chunked") + chunks)
        assert answer(connection).startswith(b"HTTP/1.1 201")
    assert patients(exchange) == before + 1


def frame(kind: int, flags: int, content: bytes, stream: int = 1) -> bytes:
    """A frame of HTTP/2: https://www.rfc-editor.org/rfc/rfc9113#section-4.1"""
    return len(content).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + content


def test_a_body_over_http_2_needs_no_length(exchange: Any) -> None:
    before = patients(exchange)
    headers = {":method": "POST", ":scheme": "http", ":path": "/fhir/Patient", ":authority": "127.0.0.1",
               "authorization": f"Bearer {exchange.token}", "content-type": "application/fhir+json"}
    literal = b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
                       for name, value in headers.items())  # RFC 7541 section 6.2.2
    with connected(exchange) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, b"", 0) + frame(1, 4, literal))
        connection.sendall(frame(0, 0, BODY[:9]) + frame(0, 1, BODY[9:]))
        found = b""
        while b'"resourceType":"' not in found and (part := connection.recv(65_536)):
            found += part
    assert b'{"resourceType":"Patient","id":"' in found
    assert patients(exchange) == before + 1


def test_content_of_a_binary_must_say_its_length(exchange: Any) -> None:
    with connected(exchange) as connection:
        sent = head(exchange, "Transfer-Encoding: chunked", path="/fhir/Binary").replace(
            b"application/fhir+json", b"application/octet-stream")
        connection.sendall(sent + b"1\r\nx\r\n0\r\n\r\n")
        found = answer(connection)
    assert found.startswith(b"HTTP/1.1 400")
    assert b"Content-Length" in found


def test_slow_clients_do_not_keep_others_waiting(exchange: Any) -> None:
    before = patients(exchange)
    slow = [connected(exchange) for _ in range(20)]
    try:
        for connection in slow:
            connection.sendall(head(exchange, f"Content-Length: {len(BODY)}") + BODY[:5])
        status, _, _ = exchange.request("POST", "/fhir/Patient", patient(), timeout=20)
        assert status == 201
        for connection in slow:
            connection.sendall(BODY[5:])
        assert all(answer(connection).startswith(b"HTTP/1.1 201") for connection in slow)
    finally:
        for connection in slow:
            connection.close()
    assert patients(exchange) == before + 21


def test_clients_that_do_not_wait_for_the_answer_harm_nobody(exchange: Any) -> None:
    for _ in range(20):
        with connected(exchange) as connection:
            connection.sendall(head(exchange, method="GET", path="/fhir/metadata"))
    assert exchange.request("GET", "/fhir/metadata")[0] == 200


TRICKS = {
    "dots": b"GET /fhir/Patient/../metadata HTTP/1.1", "encoded dots": b"GET /fhir/%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
    "nul": b"GET /fhir/Patient/%00 HTTP/1.1", "slashes": b"GET //fhir//Patient HTTP/1.1",
    "bytes": b"GET /fhir/Patient?name=%ff HTTP/1.1",
}  # fmt: skip


def test_path_tricks_are_refused_by_the_real_server_too(exchange: Any, subtests: Any) -> None:
    for name, raw in TRICKS.items():
        with subtests.test(name), connected(exchange) as connection:
            connection.sendall(raw + head(exchange, method="GET").partition(b"HTTP/1.1")[2])
            found = answer(connection)
            assert found.startswith(b"HTTP/1.1 4"), found[:200]
            assert b"OperationOutcome" in found
