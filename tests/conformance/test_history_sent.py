"""Histories that another server sends: https://hl7.org/fhir/R4/http.html#other-bundles"""

import itertools
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hie.app import create_app
from hie.store import administration
from tests.builders import bundle, encounter, entry, observation, patient, post, put
from tests.conformance.conftest import Fhir
from tests.conformance.happenings import happen

THERE = "http://there.example/fhir"


@pytest.fixture
def there(templates: Callable[..., Any], tmp_path: Path, clock: Any) -> Iterator[Fhir]:
    """Another exchange."""
    template = templates("sqlite", lambda: None)
    shutil.copytree(template.settings.data_dir, tmp_path / "there")
    app = create_app(replace(template.settings, data_dir=tmp_path / "there"), clock=clock)
    store = app.extensions["hie"].store

    def unit(connection: Any) -> str:
        client_id = administration.add_client(connection, 1, "follower", clock())
        return administration.add_token(
            connection, 1, client_id, "system/*.cruds", clock(), clock() + 3_600_000_000)[1]

    yield Fhir(app, store.database.write(unit))
    app.extensions["hie"].close()


def taken(other: Fhir, search: str = "_history?_count=1000") -> Any:
    """Return a history of the other server, under the address that it has there."""
    read = other.get(search)
    assert read.status == 200
    return json.loads(read.content.decode().replace("http://localhost/fhir", THERE))


def versions(one: Fhir, place: str) -> list[Any]:
    """Return what a history has of a resource, without the times at which it came to be."""
    return [
        (row["request"]["method"], {**row["resource"], "meta": row["resource"]["meta"]["versionId"]}
         if "resource" in row else None)
        for row in one.get(f"{place}/_history").entries()]


def told(*rows: tuple[str, str, Any], there: str = THERE) -> Any:
    """Return a history of (method, Type/id, resource), the newest first."""
    entries = []
    for number, (method, place, resource) in enumerate(rows):
        at = f"2024-05-01T10:{59 - number:02d}:00Z"
        one = entry(method, place.partition("/")[0] if method == "POST" else place, resource, f"{there}/{place}")
        entries.append({**one, "response": {"status": "200", "lastModified": at}})
    return bundle(*entries, type_="history")


def is_here(row: Any) -> bool:
    return "outcome" in row["response"] and "here already" in row["response"]["outcome"]["issue"][0]["diagnostics"]


@pytest.mark.proves("system:transaction")
def test_all_versions_are_here_under_their_ids(there, fhir):
    made = there.post("", bundle(
        post(patient("First"), "urn:uuid:11111111-1111-1111-1111-111111111111"),
        post(observation("urn:uuid:11111111-1111-1111-1111-111111111111")), type_="transaction")).entries()
    person, seen = ("/".join(row["response"]["location"].split("/")[-4:-2]) for row in made)
    id_ = person.partition("/")[2]
    for family in ("Second", "Third"):
        there.put(person, patient(family, id=id_))
    there.put("Encounter/e", encounter(person, id="e"))
    there.delete("Encounter/e")
    there.delete(seen)
    answer = fhir.post("", taken(there))
    assert answer.status == 200
    assert answer.json["type"] == "transaction-response"
    assert len(answer.entries()) == 7
    # newest first, as they were sent; each says which version it is here
    places = [row["response"].get("location", "").removeprefix("http://localhost/fhir/") for row in answer.entries()]
    assert [one for one in places if one.startswith("Patient")] == [f"{person}/_history/{n}" for n in (3, 2, 1)]
    for place in (person, seen, "Encounter/e"):
        here, other = versions(fhir, place), versions(there, place)
        assert [content for _, content in here] == [content for _, content in other]
    assert [method for method, _ in versions(fhir, "Encounter/e")] == ["DELETE", "PUT"]
    assert fhir.total("Patient?family=Third") == 1
    assert fhir.total("Patient?family=Second") == fhir.total("Observation") == fhir.total("Encounter") == 0


def test_what_comes_again_is_left_out(there, fhir):
    there.put("Patient/a", patient("One", id="a"))
    there.put("Patient/a", patient("Two", id="a"))
    first = taken(there)
    assert fhir.post("", first).status == 200
    again = fhir.post("", first)
    assert all(is_here(row) for row in again.entries())
    assert [row["response"]["etag"] for row in again.entries()] == ['W/"2"', 'W/"1"']
    there.put("Patient/a", patient("Three", id="a"))
    there.delete("Patient/a")
    longer = fhir.post("", taken(there))
    assert [is_here(row) for row in longer.entries()] == [False, False, True, True]
    assert [row["response"]["etag"] for row in longer.entries()] == [f'W/"{n}"' for n in (4, 3, 2, 1)]
    assert len(versions(fhir, "Patient/a")) == 4
    assert all(is_here(row) for row in fhir.post("", taken(there, "_history?_count=2")).entries())
    assert len(versions(fhir, "Patient/a")) == 4


def test_a_part_of_a_history_goes_on_where_the_last_one_ended(there, fhir):
    there.put("Patient/a", patient("One", id="a"))
    fhir.post("", taken(there))
    for family in ("Two", "Three", "Four"):
        there.put("Patient/a", patient(family, id="a"))
    assert fhir.post("", taken(there, "_history?_count=3")).status == 200  # Two to Four
    for family in ("Five", "Six"):
        there.put("Patient/a", patient(family, id="a"))
    assert fhir.post("", taken(there, "_history?_count=4")).status == 200  # Three to Six
    assert versions(fhir, "Patient/a") == versions(there, "Patient/a")


def test_earlier_histories_may_come_again(there, fhir):
    """Who follows begins anew, and every Bundle is one of long ago."""
    there.put("Patient/a", patient("One", id="a"))
    first = taken(there)
    there.put("Patient/a", patient("Two", id="a"))
    second = taken(there, "_history?_count=1")
    there.delete("Patient/a")
    third = taken(there, "_history?_count=1")
    there.put("Patient/a", patient("One", id="a"))
    fourth = taken(there, "_history?_count=1")
    for sent in (first, second, third, fourth):
        assert fhir.post("", sent).status == 200
    for sent in (first, second, third, fourth, taken(there)):
        assert all(is_here(row) for row in fhir.post("", sent).entries())
    there.put("Patient/a", patient("Two", id="a"))  # as it was once
    assert fhir.post("", taken(there, "_history?_count=1")).entries()[0]["response"]["etag"] == 'W/"5"'
    assert versions(fhir, "Patient/a") == versions(there, "Patient/a")


def test_what_is_here_since_before_it_was_there_is_another_version(fhir):
    for family in ("Mine", "Other", "A", "B", "A"):  # two of its own, then three that came
        fhir.put("Patient/a", patient(family, id="a"))
    back = told(("PUT", "Patient/a", patient("B", id="a", meta={"versionId": "4"})))
    back["entry"][0]["response"]["lastModified"] = "2027-01-01T00:00:00Z"
    assert fhir.post("", back).entries()[0]["response"]["etag"] == 'W/"6"'
    assert fhir.get("Patient/a").json["name"][0]["family"] == "B"


def test_the_times_tell_the_order_not_the_places(there, fhir):
    for family in ("One", "Two", "Three"):
        there.put("Patient/a", patient(family, id="a"))
    fhir.post("", taken(there, "_history?_sort=_lastUpdated"))
    assert versions(fhir, "Patient/a") == versions(there, "Patient/a")


def test_without_times_numbers_tell_and_then_the_places(fhir):
    def version(family: str, number: str | None) -> Any:
        meta = {"meta": {"versionId": number}} if number else {}
        return ("PUT", "Patient/a", patient(family, id="a", **meta))

    counted = told(version("Nine", "9"), version("Ten", "10"))
    placed = told(version("B", None), version("A", None))
    for sent, family in ((counted, "Ten"), (placed, "B")):
        for row in sent["entry"]:
            del row["response"]["lastModified"]
        assert fhir.post("", sent).status == 200
        assert fhir.get("Patient/a").json["name"][0]["family"] == family


def test_references_to_the_other_server_and_to_versions_mean_what_is_here(there, fhir):
    fhir.put("Patient/a", patient("Mine", id="a"))
    fhir.delete("Patient/a")  # so that the numbers are others here
    there.put("Patient/a", patient("One", id="a"))
    there.put("Patient/a", patient("Two", id="a"))
    told_of = {"resourceType": "Provenance", "id": "p", "recorded": "2024-05-01T10:00:00Z",
               "agent": [{"who": {"display": "x"}}],
               "target": [{"reference": "Patient/a/_history/1"}, {"reference": "Patient/a/_history/2"}]}
    assert there.put("Provenance/p", told_of).status == 201
    there.put("Observation/o", observation(f"{THERE}/Patient/a", id="o"))
    for _ in range(2):
        assert fhir.post("", taken(there)).status == 200
        found = fhir.get("Provenance/p").json
        assert [one["reference"] for one in found["target"]] == ["Patient/a/_history/3", "Patient/a/_history/4"]
        assert found["meta"]["versionId"] == "1"
        assert fhir.get("Patient/a/_history/3").json["name"][0]["family"] == "One"
        assert fhir.total("Observation?subject=Patient/a") == 1


def test_an_address_there_means_what_an_earlier_history_brought(fhir):
    fhir.post("", told(("POST", "Patient/a", patient(id="a"))))
    sent = told(("POST", "Observation/o", observation(f"{THERE}/Patient/a", id="o")),
                ("POST", "Observation/q", observation("http://elsewhere.example/fhir/Patient/a", id="q")))
    for _ in range(2):
        assert fhir.post("", sent).status == 200
    assert [fhir.get(f"Observation/{id_}").json["subject"]["reference"] for id_ in "oq"] == [
        "Patient/a", "http://elsewhere.example/fhir/Patient/a"]
    fhir.post("", told(("POST", "Observation/p", observation(f"{THERE}/Patient/none", id="p")))).refused(
        400, "not-found", "Bundle.entry[0].resource.subject.reference")


def test_a_version_that_never_came_is_not_mistaken_for_another(fhir):
    def version(number: str, family: str) -> Any:
        return "PUT", "Patient/a", patient(family, id="a", meta={"versionId": number})

    fhir.post("", told(version("8", "B"), version("7", "A")))
    assert fhir.get("Patient/a").json["meta"]["versionId"] == "2"
    for number, place in (("7", "Patient/a/_history/1"), ("8", "Patient/a/_history/2")):
        sent = told(("PUT", f"Observation/o{number}", observation(f"Patient/a/_history/{number}", id=f"o{number}")))
        assert fhir.post("", sent).status == 200
        assert fhir.get(f"Observation/o{number}").json["subject"]["reference"] == place
    fhir.post("", told(("PUT", "Observation/o", observation("Patient/a/_history/2", id="o")))).refused(
        400, "not-found", "Bundle.entry[0].resource", "is no version that came here")
    answer = fhir.post("", told(version("6", "Older")))
    assert "is older than what is here" in answer.entries()[0]["response"]["outcome"]["issue"][0]["diagnostics"]
    assert len(versions(fhir, "Patient/a")) == 2


def test_what_refers_may_go_with_what_it_refers_to(fhir):
    answer = fhir.post("", told(
        ("DELETE", "Patient/a", None), ("DELETE", "Observation/o", None),
        ("POST", "Observation/o", observation("Patient/a", id="o")), ("POST", "Patient/a", patient(id="a"))))
    assert answer.status == 200
    assert fhir.get("Patient/a").status == fhir.get("Observation/o").status == 410
    assert fhir.get("Observation/o/_history/1").json["subject"] == {"reference": "Patient/a"}


def test_what_still_refers_to_nothing_is_refused_and_nothing_kept(fhir):
    sent = told(("PUT", "Observation/o", observation("Patient/none", id="o")), ("POST", "Patient/b", patient(id="b")))
    fhir.post("", sent).refused(400, "not-found", "Bundle.entry[0].resource.subject.reference",
                               "Patient/none, which does not exist here (or was deleted); a Bundle has all versions")
    assert fhir.get("Patient/b").status == 404
    fhir.put("Patient/a", patient(id="a"))
    fhir.create(observation("Patient/a"))
    fhir.post("", told(("DELETE", "Patient/a", None))).refused(409, "conflict", "Bundle.entry[0].request.url")


def test_another_resource_of_that_id_is_not_written_over(fhir):
    fhir.put("Patient/a", patient("Mine", id="a"))
    fhir.post("", told(("PUT", "Patient/a", patient("Theirs", id="a")), ("POST", "Patient/a", patient(id="a")))
              ).refused(409, "conflict", "Bundle.entry[1].resource.id", "something else is here under this id")
    assert fhir.get("Patient/a").json["name"][0]["family"] == "Mine"


def test_two_servers_with_the_same_ids_are_told_apart(fhir):
    def of(server: str, family: str) -> Any:
        return told(("PUT", "Patient/a", patient(family, id="a", meta={"versionId": "1"})), there=server)

    assert fhir.post("", of(THERE, "Theirs")).status == 200
    fhir.post("", of("http://elsewhere.example/fhir", "Others")).refused(
        409, "conflict", "Bundle.entry[0].resource", "came before, with another content")
    assert fhir.get("Patient/a").json["name"][0]["family"] == "Theirs"


def test_versions_that_change_nothing_stay_one(fhir):
    same = patient(id="a")
    answer = fhir.post("", told(
        ("PUT", "Patient/a", same), ("PUT", "Patient/a", dict(same)), ("DELETE", "Patient/b", None)))
    assert [row["response"]["status"] for row in answer.entries()] == ["200 OK", "201 Created", "200 OK"]
    assert "stands for both" in answer.entries()[0]["response"]["outcome"]["issue"][0]["diagnostics"]
    assert "is not here" in answer.entries()[2]["response"]["outcome"]["issue"][0]["diagnostics"]
    assert len(versions(fhir, "Patient/a")) == 1


@pytest.mark.parametrize("url", ["Patient/a", "Patient/a/_history/4", f"{THERE}/Patient/a/_history/4", "/Patient/a"])
def test_addresses_may_have_a_base_and_a_version(fhir, url):
    sent = told(("DELETE", "Patient/a", None), ("POST", "Patient/a", patient(id="a")))
    sent["entry"][0]["request"]["url"] = url
    sent["entry"][1]["response"]["location"] = f"{THERE}/Patient/a/_history/1"
    assert fhir.post("", sent).status == 200
    assert fhir.get("Patient/a").status == 410


_META = "Bundle.entry[0].resource.meta"


def _row(**changes: Any) -> Any:
    sent = told(("PUT", "Patient/a", patient(id="a")))
    row = sent["entry"][0]
    for name in ("request", "response"):
        if isinstance(changes.get(name), dict):
            row[name].update(changes.pop(name))
    row.update(changes)
    return {**sent, "entry": [{key: value for key, value in row.items() if value is not None}]}


NO_HISTORY = [
    (_row(resource=None), "invalid", "Bundle.entry[0].resource"),
    (_row(resource=patient()), "invalid", "Bundle.entry[0].resource.id"),
    (_row(resource=patient(id="_")), "invalid", "Bundle.entry[0].resource.id"),
    (_row(resource={"id": "a"}), "invalid", "Bundle.entry[0].resource"),
    (_row(resource=patient(id="a", meta={"versionId": "9" * 5_000})), "value", f"{_META}.versionId"),
    (_row(resource=patient(id="a", meta={"versionId": "a\0"})), "value", f"{_META}.versionId"),
    (_row(resource=patient(id="a", meta=[])), "structure", _META),
    (_row(request={"url": "Patient/b"}), "invalid", "Bundle.entry[0].request.url"),
    (_row(fullUrl=f"{THERE}/Patient/b"), "invalid", "Bundle.entry[0].fullUrl"),
    (_row(response={"location": "Observation/a"}), "invalid", "Bundle.entry[0].response.location"),
    (_row(request={"method": "GET"}), "invalid", "Bundle.entry[0].request.method"),
    (_row(request={"method": "DELETE", "url": "Patient"}, fullUrl=None), "invalid", "Bundle.entry[0].request.url"),
    (_row(response=None), "invariant", "Bundle"),
    (_row(request={"ifMatch": 1}), "structure", "Bundle.entry[0].request.ifMatch"),
]  # fmt: skip


def test_what_is_no_history_is_refused(fhir, subtests):
    for sent, code, expression in NO_HISTORY:
        with subtests.test(expression):
            fhir.post("", sent).refused(400, code, expression)
            assert fhir.total("Patient") == 0


def test_conditions_of_then_are_told_not_asked(fhir):
    assert fhir.post("", _row(request={"ifMatch": 'W/"7"'})).status == 200
    assert fhir.get("Patient/a").status == 200


def test_it_needs_the_scopes_of_what_it_does(client: Callable[..., Fhir]):
    sent = told(("DELETE", "Patient/a", None), ("POST", "Patient/a", patient(id="a")))
    for scope in ("system/Patient.ru", "system/Patient.rd", "system/Patient.cud", "system/Observation.cruds"):
        client(scope).post("", sent).refused(403, "forbidden")
    assert client("system/Patient.rud").post("", sent).status == 200


def _hidden(follower: Fhir, here: bool, fhir: Fhir) -> list[Any]:
    """Send what tells of a Patient that the token may not see, who came by a history, or as any other."""
    tag = {"tag": [{"system": "urn:tags", "code": "secret"}]}
    if here:
        fhir.post("", told(("PUT", "Patient/h", patient("H", id="h", meta={"versionId": "7", **tag}))))
    else:
        fhir.put("Patient/h", patient("H", id="h", meta=tag))
    mine = {"tag": [{"system": "urn:tags", "code": "site-a"}]}
    answers = []
    for number in ("7", "8"):
        answers.append(follower.post("", told(
            ("PUT", "Patient/h", patient("H", id="h", meta={"versionId": number, **mine})))))
        answers.append(follower.post("", told(
            ("PUT", f"Observation/o{number}", observation(f"Patient/h/_history/{number}", id=f"o{number}")))))
    return [(one.status, one.json["issue"]) for one in answers]


def test_a_token_learns_nothing_of_what_it_may_not_see(client, fhir):
    follower = client("system/Patient.rud?_tag=urn:tags|site-a", "system/Observation.rud")
    as_any = _hidden(follower, False, fhir)
    fhir.delete("Patient/h")
    assert _hidden(follower, True, fhir) == as_any
    assert [status for status, _ in as_any] == [403, 400, 403, 400]


def test_who_may_write_and_not_read_is_told_so(client, fhir):
    fhir.put("Patient/h", patient("H", id="h"))
    follower = client("system/Patient.r?_tag=urn:tags|site-a", "system/Patient.ud")
    follower.post("", told(("PUT", "Patient/h", patient("Other", id="h", meta={"versionId": "1"})))).refused(
        403, "forbidden", "Bundle.entry[0].request.url", "Patient.r do not cover Patient/h")
    assert fhir.get("Patient/h").json["name"][0]["family"] == "H"


def test_as_of_an_instant_each_version_is_found(there, fhir):
    there.put("Patient/a", patient("One", id="a"))
    there.put("Patient/a", patient("Two", id="a"))
    fhir.post("", taken(there))
    first, second = (fhir.get(f"Patient/a/_history/{n}").json["meta"]["lastUpdated"] for n in (1, 2))
    assert first < second
    assert fhir.total(f"Patient?family=One&_asOf={first}") == 1
    assert fhir.total(f"Patient?family=One&_asOf={second}") == 0
    assert fhir.total(f"Patient?family=Two&_asOf={second}") == 1


def test_it_may_come_in_xml_and_be_answered_later(there, fhir, do_due):
    there.put("Patient/a", patient("One", id="a"))
    in_xml = there.get("_history", Accept="application/fhir+xml").content
    kept = fhir.post("", in_xml, **{"Content-Type": "application/fhir+xml", "Prefer": "respond-async"})
    assert kept.status == 202
    do_due()
    assert fhir.get("Patient/a").json["name"][0]["family"] == "One"


def test_a_single_put_after_it_goes_on_as_ever(there, fhir):
    there.put("Patient/a", patient("One", id="a"))
    fhir.post("", taken(there))
    assert fhir.put("Patient/a", patient("Mine", id="a"), If_Match='W/"1"').status == 200
    assert fhir.post("", bundle(put(patient("Mine again", id="a")))).entries()[0]["response"]["etag"] == 'W/"3"'


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happened_there_is_here_in_the_end(there, fhir, seed):
    """By whichever Bundles it comes, also twice and late, each ending between two transactions."""
    source = random.Random(seed)
    for _ in range(60):
        happen(there, source)
    rows = taken(there)["entry"][::-1]
    times = [row["response"]["lastModified"] for row in rows]
    ends = [n for n in range(1, len(rows)) if times[n - 1] != times[n]]
    cuts = [0, *sorted(source.sample(ends, len(ends) // 3)), len(rows)]
    sent = [bundle(*rows[low:high][::-1], type_="history") for low, high in itertools.pairwise(cuts)]
    for number, one in enumerate(sent):
        assert fhir.post("", one).status == 200
        again = fhir.post("", source.choice(sent[: number + 1]))
        assert again.status == 200
        assert all(is_here(row) for row in again.entries())
    for place in {row["fullUrl"].removeprefix(f"{THERE}/") for row in rows}:
        here, other = versions(fhir, place), versions(there, place)
        assert [content for _, content in here] == [content for _, content in other]
