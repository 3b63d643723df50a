"""`hie load` against a started server."""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hie.commands import load as loading


@pytest.fixture(scope="module")
def exchange(shared: Callable[..., Any]) -> Any:
    return shared()


def hospital(number: int) -> dict[str, Any]:
    identifier = {"system": "urn:hospitals", "value": str(number)}
    resource = {"resourceType": "Organization", "identifier": [identifier], "name": f"Hospital {number}"}
    request = {"method": "POST", "url": "Organization", "ifNoneExist": f"identifier=urn:hospitals|{number}"}
    return {"resource": resource, "request": request}


def patient(number: int, of_hospital: int) -> dict[str, Any]:
    """A transaction of a patient, cared for by a hospital that a batch Bundle brings, and an observation."""
    url = f"urn:uuid:00000000-0000-4000-8000-{number:012}"
    cared_for = {
        "resourceType": "Patient",
        "identifier": [{"system": f"urn:patients:{of_hospital}", "value": str(number)}],
        "managingOrganization": {"reference": f"Organization?identifier=urn:hospitals|{of_hospital}"},
    }
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "pulse"},
        "subject": {"reference": url},
        "valueQuantity": {"value": 70},
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": url, "resource": cared_for, "request": {"method": "POST", "url": "Patient"}},
            {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
        ],
    }


def archive(path: Path, values: dict[str, Any]) -> Path:
    folder = path.parent / "members"
    folder.mkdir()
    with tarfile.open(path, "w:xz") as made:
        for name, value in values.items():
            (folder / name).write_text(json.dumps(value))
            made.add(folder / name, arcname=f"records/{name}")
    return path


def load(exchange: Any, *files: Path, token: str | None = None, check: bool = True) -> Any:
    token_file = files[0].parent / "token"
    token_file.write_text(token or exchange.token)
    return exchange.command(
        "load", "--url", f"{exchange.address}/fhir", "--token-file", str(token_file), *map(str, files), check=check
    )


def total(exchange: Any, search: str) -> int:
    status, bundle, _ = exchange.request("GET", f"/fhir/{search}{'&' if '?' in search else '?'}_summary=count")
    assert status == 200
    return int(bundle["total"])


def test_an_archive_is_loaded_batches_first_and_a_second_run_sends_nothing(exchange: Any, tmp_path: Path) -> None:
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [hospital(1), hospital(2)]}
    values = {f"a{number}.json": patient(number, 1) for number in range(12)} | {"z-hospitals.json": batch}
    path = archive(tmp_path / "records.tar.xz", values)
    done = load(exchange, path)
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line[:1].isalpha()}
    assert rows["Organization"] == ["2", "0", "0", "0"]
    assert rows["Patient"] == ["12", "0", "0", "0"]
    assert rows["Observation"] == ["12", "0", "0", "0"]
    assert "0 refusals" in done.stdout
    again = load(exchange, path)
    assert "0 resources in" in again.stdout
    assert "14 units left out" in again.stdout
    assert total(exchange, "Patient?identifier=urn:patients:1|") == 12
    assert total(exchange, "Observation?patient.identifier=urn:patients:1|") == 12


def test_resources_by_line_are_updated_once_and_then_unchanged(exchange: Any, tmp_path: Path) -> None:
    lines = [{"resourceType": "Observation", "id": f"o{n}", "status": "final", "code": {"text": "x"},
              "subject": {"reference": f"Patient/p{n}"}} for n in range(150)]  # fmt: skip
    lines += [{"resourceType": "Patient", "id": f"p{n}"} for n in range(150)]
    path = tmp_path / "export.ndjson"
    path.write_text("\n".join(map(json.dumps, lines)))
    effects = [loading.load([path], f"{exchange.address}/fhir", exchange.token, journal=tmp_path / journal).effects
               for journal in ("first", "second")]  # fmt: skip
    assert effects == [{("Patient", effect): 150, ("Observation", effect): 150} for effect in ("created", "unchanged")]
    assert total(exchange, "Observation?subject=Patient/p7") == 1


def test_what_was_stored_earlier_in_the_same_second_is_unchanged(exchange: Any, tmp_path: Path) -> None:
    resource = {"resourceType": "Patient", "id": "same-second"}
    path = tmp_path / "export.ndjson"
    path.write_text(json.dumps(resource))
    time.sleep(1.02 - time.time() % 1)  # the `Date` of the server, which tells whole seconds, now stays for a while
    assert exchange.request("PUT", "/fhir/Patient/same-second", resource)[0] == 201
    done = loading.load([path], f"{exchange.address}/fhir", exchange.token, journal=tmp_path / "journal")
    assert done.effects == {("Patient", "unchanged"): 1}


def test_refusals_are_listed_with_their_place_and_end_with_code_1(exchange: Any, tmp_path: Path) -> None:
    bad = patient(2, 3)
    bad["entry"][1]["resource"]["status"] = "done"
    path = tmp_path / "two.ndjson"
    path.write_text(json.dumps(patient(1, 3)) + "\n" + json.dumps(bad) + "\n" + '{"resourceType": "Patient",')
    load(exchange, archive(tmp_path / "h.tar.xz", {"b.json": {"resourceType": "Bundle", "type": "batch",
                                                             "entry": [hospital(3)]}}))  # fmt: skip
    done = load(exchange, path, check=False)
    assert done.returncode == 1
    refused = [line for line in done.stdout.splitlines() if line.startswith("refused: ")]
    assert refused[0].startswith("refused: two.ndjson:3 unreadable: is not JSON")
    assert refused[1].startswith("refused: two.ndjson:2 Bundle.entry[1].resource.status ")
    assert total(exchange, "Patient?identifier=urn:patients:3|") == 1


def test_a_wrong_token_is_told_in_one_line(exchange: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(patient(1, 1)))
    done = load(exchange, path, token="hie_wrong", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Error: {exchange.address}/fhir refuses the token: ")


def test_real_bundles_are_loaded_without_a_refusal(exchange: Any, tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "synthea-bundles" / "synthea-120.tar.xz"
    wanted: dict[str, Path] = {}
    with tarfile.open(source) as archive_:
        for member in archive_:
            is_batch = "Information" in member.name
            if member.isfile() and (is_batch or len(wanted) < 5):
                name = Path(member.name).name
                content = archive_.extractfile(member)
                assert content is not None
                (tmp_path / name).write_bytes(content.read())
                wanted[name] = tmp_path / name
            if sum("Information" in name for name in wanted) == 2 and len(wanted) >= 5:
                break
    expected = sum(len(json.loads(path.read_bytes())["entry"]) for path in wanted.values())
    url = f"{exchange.address}/fhir"
    done = loading.load(list(wanted.values()), url, exchange.token, journal=tmp_path / "journal")
    assert (done.refusals, done.entries) == ([], expected)
