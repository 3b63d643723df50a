"""A closed-loop HTTP/1.1 load generator whose users follow scripts: what they ask depends on what was answered.

A script is a generator that yields a Request and is sent its Answer. Plain sockets and epoll, one connection a user, as
in benchmarks.load: the generator eats from the same cores as the server it measures. Any server that speaks HTTP/1.1
without TLS can be measured: Content-Length and chunked answers are understood, and one that ends a connection after an
answer gets a new one. A user who is not answered stops, and the results tell of it.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.load import Outcome

#: Seconds without any answer to any user after which a server counts as silent.
PATIENCE = 120.0
#: The status of a request that was not answered.
UNANSWERED = 0


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_last(self) -> bool:
        """Whether the server ends the connection after it: RFC 9112, section 9.6."""
        return self.headers.get("connection", "").lower() == "close"


class Request(NamedTuple):
    """What a user asks: `label` is the row of the result it counts for, `expected` what counts as done."""

    label: str
    method: str
    path: str
    body: bytes = b""
    expected: tuple[int, ...] = (200,)
    headers: tuple[tuple[str, str], ...] = ()


Script = Generator[Request, Answer, None]


@dataclass(frozen=True, slots=True)
class Server:
    """Where requests go, below which path, with which token."""

    host: str
    port: int
    base: str
    token: str

    @classmethod
    def of(cls, url: str, token: str) -> Server:
        """Read a base URL; ValueError for one that is not plain HTTP."""
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"{url} is not an http:// URL; the load generator speaks HTTP without TLS.")
        return cls(parts.hostname, parts.port or 80, parts.path.rstrip("/"), token)

    def bytes_of(self, request: Request) -> bytes:
        """Return the request as it goes over the wire."""
        target = f"{self.base}/{request.path}".rstrip("/") or "/"
        lines = [f"{request.method} {target} HTTP/1.1", f"Host: {self.host}:{self.port}",
                 "Accept: application/fhir+json"]  # fmt: skip
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        if request.body:
            lines += ["Content-Type: application/fhir+json", f"Content-Length: {len(request.body)}"]
        elif request.method in ("POST", "PUT"):
            lines.append("Content-Length: 0")
        lines += [f"{name}: {value}" for name, value in request.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + request.body


@dataclass(slots=True)
class Results:
    """One outcome for each label, and the answers that were not expected."""

    seconds: float = 0.0
    outcomes: dict[str, Outcome] = field(default_factory=lambda: defaultdict(Outcome))
    unexpected: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))

    @property
    def requests(self) -> int:
        return sum(len(one.latencies) for one in self.outcomes.values())

    def add(self, request: Request, answer: Answer, seconds: float) -> None:
        """Count one answer."""
        outcome = self.outcomes[request.label]
        outcome.latencies.append(seconds)
        outcome.statuses[answer.status] = outcome.statuses.get(answer.status, 0) + 1
        if answer.status not in request.expected:
            self.unexpected[request.label, answer.status] += 1


class _User:
    """One connection and the script it follows."""

    def __init__(self, server: Server, script: Script) -> None:
        self.server, self.script = server, script
        self.socket = _connected(server)
        self.begun = 0.0
        self.received = bytearray()
        self.request = next(script)

    def send(self) -> None:
        self.begun = time.perf_counter()
        self.received.clear()
        self.socket.sendall(self.server.bytes_of(self.request))

    def receive(self) -> Answer | None:
        """Read what has come; None while the answer is not whole."""
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError("The server closed a connection in the middle of an answer.")
        self.received += data
        return _answer(self.received, self.request.method == "HEAD")

    def reconnect(self, selector: selectors.BaseSelector) -> None:
        fresh = _connected(self.server)
        selector.unregister(self.socket)
        self.socket.close()
        self.socket = fresh
        selector.register(self.socket, selectors.EVENT_READ, self)

    def leave(self, selector: selectors.BaseSelector) -> None:
        selector.unregister(self.socket)
        self.socket.close()
        self.script.close()


def _connected(server: Server) -> socket.socket:
    made = socket.create_connection((server.host, server.port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _answer(received: bytearray, headless: bool) -> Answer | None:
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status, start = int(first[9:12]), end + 4
    if headless or status in (204, 304):
        return Answer(status, headers, b"")
    if "chunked" in headers.get("transfer-encoding", ""):
        body = _dechunked(received, start)
    else:
        length = int(headers.get("content-length", "0"))
        body = bytes(received[start : start + length]) if len(received) >= start + length else None
    return None if body is None else Answer(status, headers, body)


def _dechunked(received: bytearray, place: int) -> bytes | None:
    parts = []
    while True:
        end = received.find(b"\r\n", place)
        if end < 0:
            return None
        length = int(received[place:end].split(b";")[0], 16)
        if len(received) < end + 4 + length:
            return None
        if length == 0:
            return b"".join(parts)
        parts.append(bytes(received[end + 2 : end + 2 + length]))
        place = end + 4 + length


def run(server: Server, scripts: Sequence[Script], seconds: float, patience: float = PATIENCE) -> Results:
    """Let each script's user work until `seconds` have passed or its script has ended."""
    selector, results = selectors.DefaultSelector(), Results()
    started = time.perf_counter()
    busy = {_User(server, script) for script in scripts}
    for user in busy:
        selector.register(user.socket, selectors.EVENT_READ, user)
        user.send()
    while busy:
        ready = [key.data for key, _ in selector.select(timeout=patience)]
        for user in ready or list(busy):
            try:
                goes_on = _served(user, selector, results, time.perf_counter() - started < seconds) if ready else None
            except ConnectionError:
                goes_on = None
            if goes_on is None:
                results.unexpected[user.request.label, UNANSWERED] += 1
            if not goes_on:
                busy.remove(user)
                user.leave(selector)
    results.seconds = time.perf_counter() - started
    selector.close()
    for outcome in results.outcomes.values():
        outcome.seconds = results.seconds
    return results


def _served(user: _User, selector: selectors.BaseSelector, results: Results, more: bool) -> bool:
    """Take what has come for a user; return whether they go on. ConnectionError if the server went away."""
    answer = user.receive()
    if answer is None:
        return True
    results.add(user.request, answer, time.perf_counter() - user.begun)
    try:
        user.request = user.script.send(answer)
    except StopIteration:
        return False
    if more and answer.is_last:
        user.reconnect(selector)
    if more:
        user.send()
    return more
