"""What is erased for good goes from answers that are kept, too: https://hl7.org/fhir/R5/http.html#delete-history"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from hie.interactions.dispatch import INTERACTIONS
from hie.store import kept_answers
from hie.store.check import check
from tests.builders import bundle, entry, patient
from tests.conformance.conftest import Answer
from tests.conformance.later import asked, only_entry, rows

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


def put(id_: str, **more: Any) -> dict[str, Any]:
    return {**entry("PUT", f"Patient/{id_}"), "resource": patient(id=id_, **more)}


@pytest.fixture
def application(app: Any) -> Any:
    return app.extensions["hie"]


def told(answer: Answer) -> str:
    """Return what an answer says, also in a Binary."""
    data = re.findall(r'"data":"([^"]+)"', answer.content.decode())
    return answer.content.decode() + "".join(base64.b64decode(one).decode() for one in data)


def test_an_erasure_takes_what_it_erases_out_of_answers_that_are_kept(client, fhir, application, work, monkeypatch):
    fhir.put("Patient/wrong", patient(id="wrong", family="Mistaken"))
    fhir.put("Patient/other", patient(id="other", family="Kept"))
    query = json.dumps({"query": "{PatientList(_sort: \"_id\"){name{family}}}"}).encode()
    telling = [
        asked(fhir, "GET", "Patient/wrong"), asked(fhir, "GET", "Patient"),
        asked(fhir, "GET", "Patient/wrong/_history"),
        asked(fhir, "POST", "$graphql", query, Content_Type="application/json"),
        asked(fhir, "POST", "Patient/$validate", patient(gender="Mistaken")),
        asked(fhir, "POST", "Patient/wrong/$fhirpath?expression=name.family"),
        asked(fhir, "POST", "", bundle(put("wrong", family="Mistaken", active=True)),
              Prefer="respond-async, return=representation"),
    ]  # fmt: skip
    both = asked(fhir, "POST", "", bundle(
        entry("GET", "Patient/other"), entry("GET", "Patient/wrong"), entry("GET", "Patient/none"), type_="batch"))
    silent = [asked(fhir, "GET", "Patient/other"), asked(fhir, "POST", "Patient", patient(gender="Mistaken"))]
    work()
    before = [fhir.get(address).json for address in silent]
    assert all("Mistaken" in told(fhir.get(address)) for address in (*telling, both))
    fhir.put("Patient/wrong", patient(id="wrong", family="Right"))

    assert client("admin system/*.cruds").delete("Patient/wrong/_history").status == 200

    for address in telling:
        row = only_entry(fhir.get(address))
        assert row["response"]["status"] == "200 OK", address
        answer = row.get("resource", {}).get("entry", [row])[0]
        assert "Mistaken" not in told(fhir.get(address))
        assert answer["response"]["outcome"]["issue"][0]["code"] == "deleted", row
    location = only_entry(fhir.get(telling[-1]))["resource"]["entry"][0]["response"]["location"]
    assert location.endswith("/Patient/wrong/_history/2"), "what was done is told still"
    kept, erased, none = only_entry(fhir.get(both))["resource"]["entry"]
    assert kept["resource"]["name"][0]["family"] == "Kept"
    assert ("resource" in erased, erased["response"]["etag"]) == (False, 'W/"2"')
    assert none["response"]["outcome"]["issue"][0]["code"] == "not-found"
    assert [fhir.get(address).json for address in silent] == before
    assert check(application.store).problems == []

    for address in (*telling, *silent, both):
        fhir.delete(address)
    batch = bundle(entry("GET", "Patient/wrong"), entry("GET", "Patient/other"), type_="batch")
    again = [asked(fhir, "POST", "", batch) for _ in range(2)]
    work()
    size = len(fhir.get(again[0]).content)
    monkeypatch.setattr(kept_answers, "MOST_TAKEN_APART", size + size // 2)
    fhir.put("Patient/wrong", patient(id="wrong", family="Third"))
    client("admin system/*.cruds", name="again").delete("Patient/wrong/_history")
    found = [only_entry(fhir.get(address)) for address in again]
    assert sorted("resource" in row for row in found) == [False, True], "one is taken apart, the other brings nothing"
    assert ({row["response"]["status"] for row in found}, len(rows(application))) == ({"200 OK"}, 2)


@pytest.mark.parametrize("kind", ["vread", "batch"])
def test_what_is_read_and_erased_while_a_request_is_under_way_is_not_kept(client, fhir, work, monkeypatch, kind):
    fhir.put("Patient/wrong", patient(id="wrong", family="Mistaken"))
    fhir.put("Patient/wrong", patient(id="wrong", family="Right"))
    admin, real, erased = client("admin system/*.cruds"), INTERACTIONS["vread"], []
    version = "Patient/wrong/_history/1"
    batch = bundle(put("other"), entry("GET", version), type_="batch")
    address = asked(fhir, "GET", version) if kind == "vread" else asked(fhir, "POST", "", batch)

    def meanwhile(request: Any, ctx: Any) -> Any:
        answer = real(request, ctx)
        if not erased:
            assert b"Mistaken" in answer.content
            erased.append(admin.delete("Patient/wrong/_history").status)
        return answer

    monkeypatch.setitem(INTERACTIONS, "vread", meanwhile)
    work(), work()
    assert erased == [200]
    row = only_entry(fhir.get(address))
    assert "Mistaken" not in told(fhir.get(address))
    if kind == "vread":
        assert row["response"]["status"] == "410 Gone", "it was read anew"
        return
    first, second = row["resource"]["entry"]
    assert (first["response"]["status"], second["response"]["status"]) == ("201 Created", "200 OK")
    assert second["response"]["outcome"]["issue"][0]["code"] == "deleted", "what was done is told, and not repeated"


def test_a_transaction_during_which_something_was_erased_is_done_anew(client, fhir, application, work, monkeypatch):
    for family in ("Mistaken", "Right"):
        fhir.put("Patient/wrong", patient(id="wrong", family=family))
    address = asked(fhir, "POST", "", bundle(put("other"), entry("GET", "Patient/wrong")))
    real, runs = INTERACTIONS["transaction"], []

    def meanwhile(request: Any, ctx: Any) -> Any:
        runs.append(1)
        if len(runs) == 1:
            assert client("admin system/*.cruds").delete("Patient/wrong/_history").status == 200
        return real(request, ctx)

    monkeypatch.setitem(INTERACTIONS, "transaction", meanwhile)
    work(), work()
    assert only_entry(fhir.get(address))["response"]["status"] == "200 OK"
    assert (len(runs), fhir.get("Patient/other").vid) == (2, "1")
    assert check(application.store).problems == []
