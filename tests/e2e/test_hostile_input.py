"""Bad input over a socket, on both databases: a refusal that names the place, nothing written, the server goes on."""

from __future__ import annotations

import base64
import io
import json
import socket
import zipfile
import zlib
from typing import Any

import pytest

from tests import pictures
from tests.builders import bundle, encounter, observation, patient, post

JSON = "application/fhir+json"
URN = "urn:uuid:00000000-0000-4000-8000-00000000000"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("scan.png", pictures.encoded(pictures.ramp()))
    return file.getvalue()


def media(data: bytes, content_type: str = "image/png") -> Any:
    content = {"contentType": content_type, "data": base64.b64encode(data).decode()}
    return {"resourceType": "Media", "status": "completed", "subject": {"reference": "Patient/known"},
            "content": content}


def cycle() -> Any:
    """Encounters that are part of each other, one of them part of what nobody sent."""
    rows = [encounter("Patient/known", partOf={"reference": URN + str((at + 1) % 3)}) for at in range(3)]
    rows[2]["partOf"] = {"reference": URN + "9"}
    return bundle(*(post(row, URN + str(at)) for at, row in enumerate(rows)))


BIG_PICTURE = pictures.png(20_000, 20_000, zlib.compress(bytes(100_000)))
#: name, path, content type, body, status, issue code, its expression
TABLE: tuple[tuple[str, str, str | None, Any, int, str, str | None], ...] = (
    ("broken JSON", "Patient", JSON, b'{"resourceType":"Patient",', 400, "structure", None),
    ("too deep", "Patient", JSON, b'{"resourceType":"Patient","name":' + b"[" * 9_999, 400, "structure", None),
    ("too large", "Patient", JSON, b" " * 32_000_001, 413, "too-long", "http.Content-Length"),
    ("wrong charset", "Patient", JSON, '{"resourceType":"Patient"}'.encode("utf-16"), 400, "structure", None),
    ("charset that is not taken", "Patient", JSON + ";charset=latin-1", b"{}", 415, "not-supported",
     "http.Content-Type"),
    ("duplicate keys", "Patient", JSON, b'{"resourceType":"Patient","active":true,"active":false}', 400, "structure",
     "Patient.active"),
    ("wrong type for the URL", "Observation", JSON, patient(), 400, "invalid", None),
    ("id of 65 characters", "Patient/" + "a" * 65, JSON, patient(id="a" * 65), 400, "invalid", "Patient.id"),
    ("path with dots", "Patient/../metadata", JSON, patient(), 400, "invalid", None),
    ("path with an encoded NUL", "Patient/%00", JSON, patient(), 400, "invalid", None),
    ("reference to nothing", "Observation", JSON, observation("Patient/nobody"), 400, "not-found",
     "Observation.subject.reference"),
    ("cycle that ends in nothing", "", JSON, cycle(), 400, "not-found", None),
    ("10,000 entries", "", JSON, bundle(*(post(patient()) for _ in range(10_000))), 413, "too-long", "Bundle.entry"),
    ("no content type", "Patient", None, patient(), 415, "not-supported", "http.Content-Type"),
    ("no length", "Binary", "image/png", None, 400, "invalid", None),
    ("an image that is a zip", "Media", JSON, media(zipped()), 422, "invalid", "Media.content.data"),
    ("a 20,000 x 20,000 PNG", "Media", JSON, media(BIG_PICTURE), 422, "too-costly", "Media.content.data"),
    ("a DICOM without pixels", "Media", JSON, media(pictures.dicom(PixelData=None), "application/dicom"), 422,
     "not-supported", "Media.content.data"),
    ("a DICOM file without pixels", "Binary", "application/dicom", pictures.dicom(PixelData=None), 422,
     "not-supported", None),
    ("NUL in a search", "Patient?name=a%00b", None, "GET", 400, "invalid", None),
    ("a version without end", "Patient/known/_history/9999999999", None, "GET", 404, "not-found", None),
)


@pytest.mark.without_jobs
def test_each_is_refused_by_its_place_and_nothing_is_written(exchange: Any) -> None:
    assert exchange.request("PUT", "/fhir/Patient/known", patient(id="known"))[0] == 201
    different = {}
    for name, path, content_type, body, status, code, expression in TABLE:
        method = "GET" if body == "GET" else "PUT" if "/" in path else "POST"
        sent = None if body in (None, "GET") else body if isinstance(body, bytes) else json.dumps(body).encode()
        found = refused(exchange, method, path, content_type, sent)
        issues = [(one["code"], one.get("expression", [None])[0]) for one in found[1].get("issue", ())]
        if found[0] != status or not any(one == code and expression in (None, at) for one, at in issues):
            different[name] = (found[0], issues)
    assert different == {}
    half_way(exchange)
    status, everything, _ = exchange.request("GET", "/fhir?_summary=count")
    assert (status, everything["total"]) == (200, 1)
    assert exchange.request("POST", "/fhir/Patient", patient())[0] == 201


def refused(exchange: Any, method: str, path: str, content_type: str | None, body: bytes | None) -> tuple[int, Any]:
    """Send a request as it stands; http clients put headers and paths right before they send them."""
    lines = [f"{method} /fhir/{path} HTTP/1.1".replace("/fhir/ ", "/fhir "), f"Host: 127.0.0.1:{exchange.port}",
             f"Authorization: Bearer {exchange.token}", "Connection: close"]
    lines += [f"Content-Type: {content_type}"] if content_type else []
    lines += [f"Content-Length: {len(body)}"] if body is not None else []
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        found = b""
        while part := connection.recv(65_536):
            found += part
    head, _, content = found.partition(b"\r\n\r\n")
    return int(head[9:12]), json.loads(content)


def half_way(exchange: Any) -> None:
    """Leave at every stage of a request."""
    whole = json.dumps(bundle(*(post(patient()) for _ in range(50)))).encode()
    head = (f"POST /fhir HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {exchange.token}\r\nContent-Type: {JSON}\r\n"
            f"Content-Length: {len(whole)}\r\n\r\n").encode()
    for sent in (head[:20], head[:-2], head, head + whole[:1], head + whole[:-1]):
        with socket.create_connection(("127.0.0.1", exchange.port), timeout=60) as connection:
            connection.sendall(sent)
