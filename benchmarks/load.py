"""A closed-loop HTTP/1.1 load generator on raw sockets: N connections, one outstanding request each.

It is deliberately bare (prepared request bytes, epoll, Content-Length only), because it eats from the same cores as the
server it measures.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """What one run saw; latencies in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    bytes_received: int = 0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Return the latency in milliseconds below which `share` of the requests were answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def request_bytes(method: str, path: str, token: str = "", body: bytes = b"", host: str = "127.0.0.1") -> bytes:
    """Return a prepared request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Accept: application/fhir+json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/fhir+json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass(slots=True)
class _Connection:
    sock: socket.socket
    begun: float = 0.0
    received: bytearray = field(default_factory=bytearray)
    expected: int = -1
    status: int = 0
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))


def run(
    address: tuple[str, int], requests: Callable[[], bytes], *, connections: int, seconds: float = 0.0, count: int = 0
) -> Outcome:
    """Send what `requests` returns, on `connections` sockets, for `seconds` or until `count` were answered."""
    selector = selectors.DefaultSelector()
    outcome = Outcome()
    started = time.perf_counter()
    open_connections = []
    for _ in range(connections):
        sock = socket.create_connection(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        connection = _Connection(sock)
        open_connections.append(connection)
        selector.register(sock, selectors.EVENT_READ, connection)
        _send(connection, requests(), selector)
    sent, busy = connections, connections
    while busy:
        for key, events in selector.select(timeout=60):
            connection = key.data
            if events & selectors.EVENT_WRITE:
                _continue_sending(connection, selector)
            if not events & selectors.EVENT_READ:
                continue
            if not _receive(connection, outcome):
                continue
            now = time.perf_counter()
            outcome.latencies.append(now - connection.begun)
            outcome.statuses[connection.status] = outcome.statuses.get(connection.status, 0) + 1
            if (seconds and now - started >= seconds) or (count and sent >= count):
                busy -= 1
                selector.unregister(connection.sock)
                continue
            sent += 1
            _send(connection, requests(), selector)
    outcome.seconds = time.perf_counter() - started
    for connection in open_connections:
        connection.sock.close()
    selector.close()
    return outcome


def _send(connection: _Connection, data: bytes, selector: selectors.BaseSelector) -> None:
    connection.begun = time.perf_counter()
    connection.received.clear()
    connection.expected = -1
    connection.unsent = memoryview(data)
    _continue_sending(connection, selector)


def _continue_sending(connection: _Connection, selector: selectors.BaseSelector) -> None:
    try:
        while connection.unsent:
            connection.unsent = connection.unsent[connection.sock.send(connection.unsent) :]
    except BlockingIOError:
        selector.modify(connection.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        return
    selector.modify(connection.sock, selectors.EVENT_READ, connection)


def _receive(connection: _Connection, outcome: Outcome) -> bool:
    data = connection.sock.recv(262_144)
    if not data:
        raise ConnectionError("The server closed a connection in the middle of an answer.")
    outcome.bytes_received += len(data)
    connection.received += data
    if connection.expected < 0:
        end = connection.received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(connection.received[:end]).lower()
        connection.status = int(head[9:12])
        mark = head.find(b"content-length:")
        length = int(head[mark + 15 :].split(b"\r\n", 1)[0]) if mark >= 0 else 0
        connection.expected = end + 4 + length
    return len(connection.received) >= connection.expected


def cycle(prepared: list[bytes]) -> Callable[[], bytes]:
    """Return a source that goes round `prepared`."""

    def forever() -> Iterator[bytes]:
        while True:
            yield from prepared

    return forever().__next__
