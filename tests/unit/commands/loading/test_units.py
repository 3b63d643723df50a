"""Cutting files into units."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hie.commands.loading import units as reading
from hie.commands.loading.units import Counter, Unit, Unreadable, is_loadable, units

PATIENT = {"resourceType": "Patient", "id": "one", "identifier": [{"system": "urn:x", "value": "a|b"}]}


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def post(resource: dict[str, Any], **request: str) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}


def read(path: Path) -> list[Unit | Unreadable]:
    return list(units(path, Counter()))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def archive(kind: str, members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
            for name, content in members.items():
                made.writestr(name, content)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode=f"w:{kind}") as made:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_a_transaction_travels_as_it_was_written(tmp_path: Path) -> None:
    content = b'{"resourceType": "Bundle",  "type": "transaction", "entry": []}'
    (unit,) = read(write(tmp_path / "a.json", content))
    assert isinstance(unit, Unit)
    assert (unit.kind, unit.body) == ("transaction", content)


def test_each_entry_of_a_batch_is_a_unit_that_goes_first(tmp_path: Path) -> None:
    path = write(tmp_path / "b.json", as_json(bundle("batch", post(PATIENT), post({"resourceType": "Organization"}))))
    first, second = read(path)
    assert isinstance(first, Unit)
    assert isinstance(second, Unit)
    assert (first.kind, first.first, first.source) == ("entry", True, "b.json entry[0]")
    assert second.entries == (("Organization", "POST"),)
    assert json.loads(first.body) == post(PATIENT)


def test_a_resource_with_an_id_becomes_an_update_and_one_without_a_create(tmp_path: Path) -> None:
    lines = [as_json(PATIENT), as_json({"resourceType": "Organization", "name": "x"})]
    with_id, without = read(write(tmp_path / "c.ndjson", b"\n".join(lines) + b"\n\n"))
    assert isinstance(with_id, Unit)
    assert isinstance(without, Unit)
    assert json.loads(with_id.body)["request"] == {"method": "PUT", "url": "Patient/one"}
    assert with_id.repeatable
    assert json.loads(without.body)["request"] == {"method": "POST", "url": "Organization"}
    assert not without.repeatable


def test_a_resource_keeps_every_digit(tmp_path: Path) -> None:
    line = b'{"resourceType":"Observation","id":"o","valueQuantity":{"value":1.00}}'
    (unit,) = read(write(tmp_path / "d.ndjson", line))
    assert isinstance(unit, Unit)
    assert line in unit.body


def test_a_collection_becomes_a_transaction_that_keeps_every_digit(tmp_path: Path) -> None:
    content = (
        b'{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:1","resource":'
        b'{"resourceType":"Observation","valueQuantity":{"value":1.00}}}]}'
    )
    (unit,) = read(write(tmp_path / "e.json", content))
    assert isinstance(unit, Unit)
    assert unit.kind == "transaction"
    assert b'"value":1.00' in unit.body
    made = json.loads(unit.body)
    assert made["type"] == "transaction"
    assert made["entry"][0]["request"] == {"method": "POST", "url": "Observation"}
    assert made["entry"][0]["fullUrl"] == "urn:uuid:1"


def test_the_identity_of_a_transaction_is_the_first_identifier_that_it_creates(tmp_path: Path) -> None:
    path = write(tmp_path / "f.json", as_json(bundle("transaction", post(PATIENT, ifNoneExist="x=y"), post(PATIENT))))
    (unit,) = read(path)
    assert isinstance(unit, Unit)
    assert unit.identity == ("Patient", "urn:x|a\\|b")
    assert not unit.repeatable


def test_a_conditional_create_may_be_sent_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "g.json", as_json(bundle("transaction", post(PATIENT, ifNoneExist="identifier=urn:x|a"))))
    (unit,) = read(path)
    assert isinstance(unit, Unit)
    assert unit.repeatable
    assert unit.identity is None


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.tar.xz", "a.txz", "a.zip"])
def test_members_of_an_archive_are_read(tmp_path: Path, name: str) -> None:
    kind = {"tar": "", "gz": "gz", "tgz": "gz", "xz": "xz", "txz": "xz", "zip": "zip"}[name.rpartition(".")[2]]
    members = {"x/one.json": as_json(PATIENT), "x/two.ndjson.gz": gzip.compress(as_json(PATIENT)), "x/README": b"text"}
    one, two, left_out = read(write(tmp_path / name, archive(kind, members)))
    assert isinstance(one, Unit)
    assert isinstance(two, Unit)
    assert one.body == two.body
    assert one.source == f"{name}!x/one.json"
    assert isinstance(left_out, Unreadable)
    assert left_out.source == f"{name}!x/README"


@pytest.mark.parametrize(("name", "compress"), [("a.json.gz", gzip.compress), ("a.json.xz", lzma.compress)])
def test_a_compressed_file_is_read_and_its_bytes_on_disk_are_counted(tmp_path: Path, name: str, compress: Any) -> None:
    path = write(tmp_path / name, compress(as_json(PATIENT)))
    counter = Counter()
    (unit,) = units(path, counter)
    assert isinstance(unit, Unit)
    assert counter.read == path.stat().st_size


def test_a_dicom_file_is_posted_as_it_is(tmp_path: Path) -> None:
    (unit,) = read(write(tmp_path / "scan.dcm", b"\x00" * 128 + b"DICM"))
    assert isinstance(unit, Unit)
    assert (unit.kind, unit.entries) == ("binary", (("Binary", "POST"),))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("broken.json", b'{"resourceType"', "is not JSON"),
        ("list.json", b"[]", "is no FHIR resource"),
        ("untyped.json", b"{}", "is no FHIR resource"),
        ("twice.json", b'{"resourceType":"Bundle","type":"batch","entry":[{"a":1,"a":2}]}', "Line 1"),
        ("history.json", as_json(bundle("history")), "'history' cannot be loaded"),
        ("entries.json", as_json({"resourceType": "Bundle", "type": "transaction", "entry": 3}), "is not a list"),
        ("empty.json", as_json(bundle("collection", {})), "has no resource"),
        ("cut.json.gz", gzip.compress(b"x" * 5000)[:20], "cannot be read"),
        ("cut.json.xz", lzma.compress(b"x" * 5000)[:40], "cannot be read"),
        ("cut.tar", b"\x01" * 600, "cannot be read"),
        ("cut.zip", b"PK\x03\x04", "cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_what_cannot_be_read_says_why_and_the_reading_goes_on(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (found,) = read(write(tmp_path / name, content))
    assert isinstance(found, Unreadable)
    assert reason in found.reason


def test_a_line_that_never_ends_is_not_taken_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_UNIT_BYTES", 100)
    (found,) = read(write(tmp_path / "bomb.ndjson.gz", gzip.compress(b" " * 10_000)))
    assert isinstance(found, Unreadable)
    assert found.source == "bomb.ndjson.gz:1"


@pytest.mark.parametrize(("name", "loadable"), [("a.json", True), ("A.NDJSON.GZ", True), ("a.tar.xz", True),
                                                ("a.dcm", True), ("a.png", False), ("json", False)])  # fmt: skip
def test_a_name_says_whether_a_file_can_be_loaded(name: str, loadable: bool) -> None:
    assert is_loadable(Path(name)) is loadable
