"""Somebody holds every file of the exchange but the root key: what of the patients can be read?"""

from __future__ import annotations

import base64
import bz2
import contextlib
import gzip
import io
import itertools
import json
import lzma
import random
import re
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

FAMILIES = ("Quirinsdottir", "Vandersteenhoven", "Oyelaranwole", "Zbrzezniakow")
SYNTHEA_BUNDLES = 10
GIVEN = ("Thornwald", "Perpetuaine", "Iskandariya", "Wulfgardina")


def made_up(source: random.Random, number: int) -> dict[str, Any]:
    """A transaction with a patient nobody is, and a record about it."""
    family, given = f"{source.choice(FAMILIES)}{number:03d}", f"{source.choice(GIVEN)}{number:03d}"
    patient = {
        "resourceType": "Patient",
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">Narrative of {given} {family}</div>',
        },
        "identifier": [
            {"system": "http://hospital.example/mrn", "value": f"MRN-{number:03d}-{source.randrange(10**9):09d}"}
        ],
        "name": [{"family": family, "given": [given]}],
        "telecom": [{"system": "phone", "value": f"+49-{source.randrange(10**9):09d}"}],
        "address": [
            {"line": [f"{number} Kastanienhofweg"], "city": f"Obertannheim{number:03d}", "postalCode": f"9{number:04d}"}
        ],
        "birthDate": f"{1930 + source.randrange(80)}-{source.randrange(1, 13):02d}-{source.randrange(1, 29):02d}",
    }
    condition = {
        "resourceType": "Condition",
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "code": {
            "coding": [
                {"system": "http://snomed.info/sct", "code": "233604007", "display": f"Pneumonitis gravis {number:03d}"}
            ]
        },
        "subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"},
        "note": [{"text": f"Confidential remark {number:03d} on {given}"}],
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001",
                "resource": patient,
                "request": {"method": "POST", "url": "Patient"},
            },
            {"resource": condition, "request": {"method": "POST", "url": "Condition"}},
        ],
    }


def synthea(shared: Path) -> Iterator[dict[str, Any]]:
    """Some of the small Synthea patients and the hospital data they need, if the shared data are there."""
    with lzma.open(shared / "synthea" / "synthea_r4_20_bundles.ndjson.xz", "rt", encoding="utf-8") as lines:
        for line in itertools.islice(lines, SYNTHEA_BUNDLES):
            yield json.loads(line)


SECRET_KEYS = {"family", "line", "city", "postalCode", "birthDate", "div", "display", "latitude", "longitude"}


def secrets_of(bundle: dict[str, Any]) -> set[str]:
    """Return what nobody may find: names, addresses, telephones, identifiers, birth dates, narratives, displays."""
    found: set[str] = set()

    def walk(value: Any, key: str, inside: str) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                walk(item, name, key)
        elif isinstance(value, list):
            for item in value:
                walk(item, key, inside)
        elif isinstance(value, str) and (
            key in SECRET_KEYS
            or (key == "given")
            or (key == "value" and inside in ("identifier", "telecom"))
            or (key == "text" and inside in ("note", "code"))
        ):
            found.add(re.sub(r"<[^>]+>", "", value).strip()[:60])

    for entry in bundle["entry"]:
        resource = entry.get("resource", {})
        if resource.get("resourceType") not in ("Organization", "Practitioner", "Location"):
            walk(resource, "", "")
    # what is shorter could stand in any random bytes
    return {secret for secret in found if len(secret.encode()) >= 6}


def encodings(secret: str) -> Iterator[tuple[str, bytes]]:
    """Yield the forms in which a secret could lie in a file."""
    for text in {secret, secret.lower(), secret.upper()}:
        plain = text.encode()
        yield "UTF-8", plain
        yield "UTF-16-LE", text.encode("utf-16-le")
        yield "UTF-16-BE", text.encode("utf-16-be")
        yield "hex", plain.hex().encode()
        yield "HEX", plain.hex().upper().encode()
        yield "JSON escapes", json.dumps(text)[1:-1].encode()
        for shift in range(3):  # base64 of the secret at each alignment, less its ragged ends
            coded = base64.b64encode(b"\0" * shift + plain)
            inner = coded[{0: 0, 1: 2, 2: 3}[shift] : len(coded) - 4]
            if len(inner) >= 8:
                yield "base64", inner
                yield "base64url", inner.replace(b"+", b"-").replace(b"/", b"_")


def layers(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes, and every compressed stream in them that opens."""
    yield "as it is", data
    for name, magic, opener in (
        ("gzip", b"\x1f\x8b\x08", lambda b: gzip.GzipFile(fileobj=io.BytesIO(b)).read(100_000)),
        ("zlib", b"\x78\x9c", lambda b: zlib.decompressobj().decompress(b, 100_000)),
        ("zlib 1", b"\x78\x01", lambda b: zlib.decompressobj().decompress(b, 100_000)),
        ("zlib 9", b"\x78\xda", lambda b: zlib.decompressobj().decompress(b, 100_000)),
        ("bzip2", b"BZh", lambda b: bz2.BZ2Decompressor().decompress(b, 100_000)),
        ("xz", b"\xfd7zXZ\0", lambda b: lzma.LZMADecompressor().decompress(b, 100_000)),
        ("zstd", b"\x28\xb5\x2f\xfd", _zstd),
        ("zstd with the shipped dictionary", b"\x28\xb5\x2f\xfd", _zstd_dictionary),
    ):
        for match in re.finditer(re.escape(magic), data):
            try:
                yield name, opener(data[match.start() : match.start() + 200_000])
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError):
                continue


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _zstd_dictionary(data: bytes) -> bytes:
    import hie.store

    raw = (Path(hie.store.__file__).parent / "data" / "resources.zdict").read_bytes()
    return zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(raw)).decompressobj().decompress(data)


WINDOW = 6  # bytes: the shortest secret that is looked for
CHUNK = 1 << 18
BITS = 22


class Sought:
    """The forms of all secrets, by their first bytes; most places in a file are passed over by a hash of these."""

    def __init__(self, secrets: set[str]) -> None:
        self.forms: dict[bytes, list[tuple[bytes, str, str]]] = {}
        for secret in secrets:
            for encoding, form in encodings(secret):
                self.forms.setdefault(form[:WINDOW], []).append((form, secret, encoding))
        self._beginnings = np.sort(_windows(b"".join(self.forms))[::WINDOW])
        self._hashes = np.zeros(1 << BITS, bool)
        self._hashes[_hashed(self._beginnings)] = True

    def candidates(self, data: bytes) -> Iterator[int]:
        """Yield the positions at which some form may begin."""
        for start in range(0, len(data), CHUNK):
            windows = _windows(data[start : start + CHUNK + WINDOW - 1])
            near = np.nonzero(self._hashes[_hashed(windows)])[0]
            places = np.minimum(np.searchsorted(self._beginnings, windows[near]), len(self._beginnings) - 1)
            yield from (near[self._beginnings[places] == windows[near]] + start).tolist()


def leaks(data: bytes, sought: Sought) -> set[tuple[str, str, str]]:
    """Return (secret, encoding, layer) of everything that was found."""
    return {
        (secret, encoding, layer)
        for layer, content in layers(data)
        for position in sought.candidates(content)
        for form, secret, encoding in sought.forms.get(content[position : position + WINDOW], ())
        if content.startswith(form, position)
    }


def _windows(data: bytes) -> np.ndarray:
    """Return each run of WINDOW bytes as one number."""
    if len(data) < WINDOW:
        return np.empty(0, np.uint64)
    values = np.frombuffer(data, np.uint8)
    twos = values[:-1].astype(np.uint64) << np.uint64(8) | values[1:]
    return (twos[:-4] << np.uint64(16) | twos[2:-2]) << np.uint64(16) | twos[4:]


def _hashed(windows: np.ndarray) -> np.ndarray:
    """Return BITS bits of each, mixed: text has few different bytes."""
    return windows * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(64 - BITS)


def test_the_search_for_leaks_finds_what_lies_open() -> None:
    """The test's own tool: each encoding of a secret is found where it is."""
    secret = "Quirinsdottir007"
    plain = secret.encode()
    for data in (
        plain,
        secret.encode("utf-16-le"),
        plain.hex().encode(),
        base64.b64encode(b"x" + plain + b"yz"),
        b"junk" + gzip.compress(plain),
        b"junk" + zlib.compress(plain),
        b"junk" + zstandard.compress(plain),
        lzma.compress(plain),
    ):
        assert leaks(data, Sought({secret})), data


def _dump(postgres: Any, url: str) -> bytes:
    from sqlalchemy import make_url

    parsed = make_url(url)
    command = [
        str(Path(postgres.bin_path) / "pg_dump"),
        "-h",
        str(parsed.query["host"]),
        "-U",
        "postgres",
        parsed.database,
    ]
    return subprocess.run([str(part) for part in command], check=True, capture_output=True).stdout


@pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])
def test_no_byte_outside_the_key_file_tells_of_a_patient(
    exchange: Any, request: pytest.FixtureRequest, database_kind: str
) -> None:
    source = random.Random(20)
    bundles = [made_up(source, number) for number in range(20)]
    with contextlib.suppress(pytest.skip.Exception):  # the made-up patients prove the product without it
        bundles += synthea(request.getfixturevalue("shared_data"))
    secrets: set[str] = set()
    for bundle in bundles:
        status, answer, _ = exchange.request("POST", "/fhir", bundle)
        assert status == 200, answer
        secrets |= secrets_of(bundle)
    _use_them(exchange, bundles[0])
    assert len(secrets) > 100

    data_dir: Path = exchange.settings.data_dir
    files = [p for p in data_dir.rglob("*") if p.is_file() and p.name != "root.key"]
    contents = {str(path.relative_to(data_dir)): path.read_bytes() for path in files}
    contents["server.log"] = exchange.log.read_bytes()
    if database_kind == "sqlite":
        assert any(name.endswith("-wal") and content for name, content in contents.items())
    else:
        contents["pg_dump"] = _dump(request.getfixturevalue("postgres"), exchange.settings.database_url)
        assert len(contents["pg_dump"]) > 50_000
    sought = Sought(secrets)
    found = {name: leaks(content, sought) for name, content in contents.items()}
    assert {name: sorted(leak)[:5] for name, leak in found.items() if leak} == {}


def _use_them(exchange: Any, bundle: dict[str, Any]) -> None:
    """Search by the secrets too: neither audit nor log may keep them."""
    patient = bundle["entry"][0]["resource"]
    family, identifier = patient["name"][0]["family"], patient["identifier"][0]["value"]
    for query in (
        f"name={family}",
        f"identifier={identifier}",
        f"birthdate={patient['birthDate']}",
        f"family:exact={family}",
    ):
        status, page, _ = exchange.request("GET", f"/fhir/Patient?{query}")
        assert (status, page["total"] >= 1) == (200, True), query
    assert exchange.request("GET", f"/fhir/Patient?nonsense={family}")[0] == 400
    assert exchange.request("POST", "/fhir/Patient", {**patient, "birthDate": f"{family}"})[0] == 400
    assert exchange.request("GET", f"/fhir/{family}/{identifier}")[0] == 404
    found = {"If-None-Exist": f"identifier={identifier}"}
    assert exchange.request("POST", "/fhir/Patient", patient, headers=found)[0] == 200
    for query in (f'{{PatientList(name: "{family}") {{ id }}}}', f"{{PatientList {{ {family} }}}}"):
        assert exchange.request("POST", "/fhir/$graphql", {"query": query})[0] in (200, 400)
    later = {"Prefer": "respond-async"}
    assert exchange.request("GET", f"/fhir/Patient?name={family}", headers=later)[0] == 202
    named = {"Content-Type": "text/plain", "Content-Disposition": f'attachment; filename="{family}.txt"'}
    assert exchange.request("POST", "/fhir/Binary", f"Letter about {family}".encode(), headers=named)[0] == 201
    closure = {"resourceType": "Parameters", "parameter": [{"name": "name", "valueString": family}]}
    assert exchange.request("POST", "/fhir/$closure", closure)[0] == 200


@pytest.mark.without_jobs
@pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])
def test_swapped_rows_fail_closed_and_alarm(exchange: Any) -> None:
    from sqlalchemy import create_engine, text

    ids = []
    for family in ("First", "Second"):
        _, answer, _ = exchange.request(
            "POST", "/fhir/Patient", {"resourceType": "Patient", "name": [{"family": family}]}
        )
        ids.append(answer["id"])
    engine = create_engine(exchange.settings.sqlalchemy_url)
    with engine.begin() as connection:
        rows = dict(connection.execute(text("SELECT id, sealed FROM resource WHERE type = 'Patient'")).all())
        for id_, other in (ids, reversed(ids)):
            statement = text("UPDATE resource SET sealed = :sealed WHERE id = :id")
            connection.execute(statement, {"sealed": rows[other], "id": id_})
    engine.dispose()
    for id_ in ids:
        status, outcome, _ = exchange.request("GET", f"/fhir/Patient/{id_}")
        assert status == 500
        assert outcome["issue"][0]["code"] == "security"
        assert "does not open" in outcome["issue"][0]["diagnostics"]
        assert "First" not in json.dumps(outcome)
        assert "Second" not in json.dumps(outcome)
    assert '"hie.alarm"' in exchange.log.read_text()
    report = exchange.command("check", check=False)
    assert report.returncode == 1
    assert f"Patient/{ids[0]}" in report.stdout + report.stderr
