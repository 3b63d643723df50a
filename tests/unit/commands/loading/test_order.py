"""Files of resources that others refer to are sent first."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from hie.commands.loading.order import in_order


def _lines(path: Path, type_name: str, *refers_to: str) -> Path:
    links = [{"reference": f"{one}/1"} for one in refers_to]
    content = json.dumps({"resourceType": type_name, "id": "1", "link": links}).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_what_is_referred_to_goes_before_what_refers(tmp_path: Path) -> None:
    claim = _lines(tmp_path / "a.ndjson", "Claim", "Encounter", "Patient")
    met = _lines(tmp_path / "b.ndjson.gz", "Encounter", "Patient", "Encounter")
    person = _lines(tmp_path / "c.jsonl", "Patient", "Organization")
    assert in_order([claim, met, person]) == [person, met, claim]


def test_circles_and_what_is_not_there_change_nothing(tmp_path: Path) -> None:
    one = _lines(tmp_path / "a.ndjson", "Condition", "Encounter")
    other = _lines(tmp_path / "b.ndjson", "Encounter", "Condition")
    third = _lines(tmp_path / "c.ndjson", "Basic", "Patient")
    assert in_order([one, other, third]) == [third, one, other]
    assert in_order([one, other]) == [one, other]


def test_other_files_stay_in_front_as_they_were_given(tmp_path: Path) -> None:
    lines = _lines(tmp_path / "a.ndjson", "Claim", "Patient")
    bundle, image = tmp_path / "z.json", tmp_path / "b.dcm"
    assert in_order([lines, bundle, image]) == [bundle, image, lines]


def test_what_cannot_be_read_is_sent_all_the_same(tmp_path: Path) -> None:
    broken = tmp_path / "a.ndjson.gz"
    broken.write_bytes(b"no gzip")
    assert in_order([broken, tmp_path / "none.ndjson"]) == [broken, tmp_path / "none.ndjson"]
