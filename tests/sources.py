"""A small server with the history of another, that answers as a test says: what other servers do differently."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any

import pytest

from hie.commands import connection

#: Status, headers and body: bytes, or what becomes JSON.
Answer = tuple[int, dict[str, str], Any]


class Source(ThreadingHTTPServer):
    """Answers GET by `routes`: path, with or without its query -> an answer, or answers one after the other.

    What is sent by POST is answered with `posted`, or what that makes of the body.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes: dict[str, Any] = {}
        self.posted: Any = (405, {}, b"")
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/fhir"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of who breaks off an answer."""

    def has(self, *entries: Any, path: str = "_history") -> None:
        """Have one page, the newest first."""
        self.routes[f"/fhir/{path}"] = page(*entries)

    def answer_to(self, path: str) -> Answer:
        """Return the next answer to a request."""
        name = path if path in self.routes else path.partition("?")[0]
        found = self.routes.get(name, (404, {}, outcome("not-found", "There is no such route.")))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        made: Answer = found(path) if callable(found) else found
        return made


class _Handler(BaseHTTPRequestHandler):
    server: Source
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(self.server.answer_to(self.path))

    def do_POST(self) -> None:
        content, posted = self.rfile.read(int(self.headers["Content-Length"])), self.server.posted
        self._answer(posted(json.loads(content)) if callable(posted) else posted)

    def _answer(self, answer: Answer) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(dict(self.headers.items()))
        status, headers, value = answer
        if status == 0:  # the connection breaks in place of an answer
            self.close_connection = True
            return
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Let a server answer on a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def impatient(monkeypatch: pytest.MonkeyPatch, tries: int) -> Iterator[Source]:
    """Yield a server that is asked again at once, and so often."""
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(connection, "MAX_TRIES", tries)
    made = Source()
    with serving(made):
        yield made


def page(*entries: Any, following: str | None = None, itself: str | None = None, **more: Any) -> Answer:
    """Return a page of a history, with its links next and self."""
    link = [{"relation": name, "url": url} for name, url in (("self", itself), ("next", following)) if url is not None]
    return 200, {}, {"resourceType": "Bundle", "type": "history", "link": link, "entry": list(entries), **more}


def told(
    place: str, number: int | None, resource: Any = None, *, second: int = 0, method: str = "PUT", **more: Any
) -> Any:  # fmt: skip
    """Return the entry of a version, as Type/id, as most servers tell it; without a resource it was deleted."""
    if resource is not None:
        resource = {**resource, "id": place.partition("/")[2]}
        if number is not None:
            resource["meta"] = {**resource.get("meta", {}), "versionId": str(number), "lastUpdated": at(second)}
    response = {"status": "200", "lastModified": at(second)} | ({"etag": f'W/"{number}"'} if number is not None else {})
    entry = {"fullUrl": f"http://there.example/fhir/{place}", "resource": resource,
             "request": {"method": method if resource is not None else "DELETE", "url": place}, "response": response,
             **more}  # fmt: skip
    return {name: value for name, value in entry.items() if value is not None}


def at(second: int) -> str:
    """Return a moment of the other server."""
    return f"2024-05-01T{10 + second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000Z"


def outcome(code: str, text: str) -> dict[str, Any]:
    """Return what refuses something."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code, "diagnostics": text}]}


