"""How bulk files are made and kept: workers that are lost, requests that are taken back, shares, tokens.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from base64 import b64encode
from dataclasses import replace
from functools import partial
from os import urandom

import pytest

from hie.app import create_app
from hie.errors import TooCostly
from hie.fhir.bulk import Filed
from hie.interactions import asynchronous
from hie.interactions.bulk import MOST_LINES
from hie.interactions.bulk_export import Listed
from hie.store import administration, bulk_files
from hie.store import asynchronous as kept
from hie.store.check import check
from hie.store.models import bulk_file
from hie.store.resources import ResourceStore
from tests.builders import bundle, observation, patient, post
from tests.conformance.administration import make_token
from tests.conformance.conftest import Fhir
from tests.conformance.later import LATER
from tests.conformance.test_bulk_export import PROVENANCE, exported, ids, kicked_off, lines
from tests.one_database import ONE_DATABASE


def rows(application) -> list:
    return list(application.store.database.connection().execute(bulk_file.select()))


def _begun(application, address: str):
    """Return the context of a worker that has begun a request."""
    ctx = application.context()
    found = kept.find(ctx.store, address.rpartition("/")[2])
    begun = kept.begin(ctx.store, found)
    assert begun is not None
    return ctx, begun[0]


def _add(ctx, asked) -> None:
    file = Filed(1, "output", "Patient", 1)
    bulk_files.add(ctx.store, asked.id, file, b"stray", lambda connection: kept.refuse_taken_over(connection, asked))


def test_what_a_lost_worker_listed_is_listed_anew_and_it_adds_nothing_more(fhir, application, clock, do_due):
    one = fhir.create(patient())["id"]
    address = kicked_off(fhir, "$export")
    lost, asked = _begun(application, address)
    _add(lost, asked)
    clock.now += 60_000_000
    do_due()
    (file,) = fhir.get(address).json["output"]
    assert (file["count"], [row["id"] for row in lines(fhir, file)]) == (1, [one])
    with pytest.raises(kept.Overtaken):
        _add(lost, asked)
    assert len(rows(application)) == 1


def test_a_worker_that_was_only_slow_keeps_nothing_once_another_has_begun(fhir, application, clock):
    address = kicked_off(fhir, "$export")
    slow, asked = _begun(application, address)
    clock.now += 60_000_000
    other = kept.begin_again(slow.store, asked)
    with pytest.raises(kept.Overtaken):
        _add(slow, asked)
    assert kept.finish(slow.store, asked, b"bulk\n{}", see=kept.refuse_taken_over)
    assert fhir.get(address).status == 202, "it kept no answer"
    _add(slow, other)
    assert len(rows(application)) == 1


def test_a_worker_that_was_slow_to_begin_takes_no_files_from_the_other(fhir, application):
    address = kicked_off(fhir, "$export")
    slow, asked = _begun(application, address)
    other = kept.begin_again(slow.store, asked)
    _add(slow, other)
    see = partial(kept.refuse_taken_over, asked=asked)
    with pytest.raises(kept.Overtaken):
        bulk_files.begin(slow.store, asked.id, see)
    assert len(rows(application)) == 1


def test_who_takes_over_with_a_clock_that_is_behind_is_told_apart(fhir, application, clock):
    address = kicked_off(fhir, "$export")
    slow, asked = _begun(application, address)
    clock.now -= 60_000_000
    _add(slow, kept.begin_again(slow.store, asked))
    with pytest.raises(kept.Overtaken):
        _add(slow, asked)


def _refusing(monkeypatch, error: Exception) -> None:
    """Let every export fail once its first file is full."""
    monkeypatch.setattr("hie.interactions.bulk.MOST_LINES", 2)

    def listed(*_):
        yield from (Listed("Patient", f"p{number}", 100) for number in range(5))
        raise error

    monkeypatch.setattr("hie.operations.export.operations.whole", listed)


def test_what_is_refused_midway_keeps_no_files(fhir, application, do_due, monkeypatch):
    _refusing(monkeypatch, TooCostly("This takes too long."))
    address = kicked_off(fhir, "$export")
    do_due()
    fhir.get(address).refused(422, "too-costly", text="too long")
    assert rows(application) == []
    assert check(application.store).problems == []


def test_what_fails_again_and_again_keeps_no_files(fhir, application, clock, do_due, monkeypatch):
    _refusing(monkeypatch, RuntimeError("broken"))
    address = kicked_off(fhir, "$export")
    for left in (2, 2, 0):
        do_due()
        assert len(rows(application)) == left
        clock.now += 3_600_000_000
    assert fhir.get(address).status == 500
    assert rows(application) == []


def test_an_overtaken_worker_refuses_nothing(fhir, application):
    address = kicked_off(fhir, "$export")
    slow, asked = _begun(application, address)
    other = kept.begin_again(slow.store, asked)
    _add(slow, other)
    assert kept.finish(slow.store, asked, b"bulk\n{}", see=kept.refuse_taken_over, has_files=False)
    assert (fhir.get(address).status, len(rows(application))) == (202, 1)


def test_a_request_that_was_taken_back_keeps_no_files(fhir, application, do_due):
    fhir.create(patient())
    address = kicked_off(fhir, "$export")
    ctx, asked = _begun(application, address)
    _add(ctx, asked)
    assert fhir.delete(address).status == 202
    assert rows(application) == []
    with pytest.raises(kept.Overtaken):
        _add(ctx, asked)
    do_due()
    assert rows(application) == []


def test_files_go_when_they_expire(fhir, application, clock, do_due):
    fhir.create(patient())
    kicked_off(fhir, "$export")
    do_due()
    assert len(rows(application)) == 1
    clock.now += 25 * 3_600_000_000
    do_due()
    assert rows(application) == []


def test_a_token_that_is_revoked_meanwhile_exports_nothing(fhir, client, application, do_due):
    fhir.create(patient())
    asking = client("system/*.rs")
    address = kicked_off(asking, "$export")
    ctx = application.context()
    found = kept.find(ctx.store, address.rpartition("/")[2])
    application.store.database.write(
        lambda connection: administration.revoke_token(connection, 1, found.token, application.clock()))
    do_due()
    asking.get(address).refused(401, "login")
    assert rows(application) == []


def test_beyond_its_clients_share_an_export_is_refused_and_keeps_nothing(settings, clock):
    made = create_app(replace(settings, async_client_bytes=3_000), clock=clock)
    application = made.extensions["hie"]
    try:
        fhir = Fhir(made, make_token(application, "system/*.cruds"))
        fhir.post("", bundle(*(post(patient(family=f"F{number}")) for number in range(300))))
        address = kicked_off(fhir, "$export")
        asynchronous.perform({"request": address.rpartition("/")[2]}, application.context())
        fhir.get(address).refused(422, "throttled", text="3000 bytes")
        assert rows(application) == []
    finally:
        application.close()


def test_a_group_that_is_gone_by_then_is_told(fhir, do_due):
    group = fhir.create({"resourceType": "Group", "type": "person", "actual": True})["id"]
    address = kicked_off(fhir, f"Group/{group}/$export")
    fhir.delete(f"Group/{group}")
    do_due()
    fhir.get(address).refused(422, "deleted")


@ONE_DATABASE
def test_a_file_ends_at_so_many_lines(fhir, do_due, monkeypatch):
    monkeypatch.setattr("hie.interactions.bulk.MOST_LINES", 7)
    assert MOST_LINES > 7
    fhir.post("", bundle(*(post(patient(family=f"F{number}")) for number in range(20))))
    address = kicked_off(fhir, "$export")
    do_due()
    files = fhir.get(address).json["output"]
    assert [file["count"] for file in files] == [7, 7, 6]
    assert [file["url"].rpartition("/")[2] for file in files] == [f"Patient.{number}.ndjson" for number in (1, 2, 3)]
    assert len({row["id"] for file in files for row in lines(fhir, file)}) == 20


def test_a_changed_list_does_not_open_and_the_check_tells(fhir, application, do_due):
    fhir.create(patient())
    address = kicked_off(fhir, "$export")
    do_due()
    application.store.database.write(lambda connection: connection.execute(bulk_file.update().values(type="Basic")))
    assert any("does not open" in one for one in check(application.store).problems)
    assert fhir.get(f"{address}/Basic.1.ndjson").status == 500


TAGGED = {"tag": [{"system": "urn:x", "code": "a"}]}
SCOPES = [
    "system/*.rs", "system/*.rs?_tag=a", "system/*.rs?_tag:not=a", "system/Patient.rs system/Observation.rs?_tag=a",
    "system/Patient.rs?_tag=a system/Observation.rs", "system/Patient.rs system/Practitioner.rs",
    "system/Patient.rs?family=F1 system/*.rs?_tag=a",
]  # fmt: skip


@pytest.fixture
def varied(fhir) -> str:
    """Resources half of which have a tag, that refer to each other; the id of a Group."""
    tags = [{}, {"meta": TAGGED}]
    doctors = [fhir.create({"resourceType": "Practitioner", **tags[n]})["id"] for n in (1, 0)]
    people = [fhir.create(patient(family=f"F{n}", **tags[n % 2],
              generalPractitioner=[{"reference": f"Practitioner/{doctors[n // 2]}"}]))["id"] for n in range(4)]
    for number, person in enumerate(people * 2):
        more = {"meta": TAGGED} if number % 3 else {}
        fhir.create(observation(f"Patient/{person}", performer=[{"reference": f"Practitioner/{doctors[number % 2]}"}],
                                **more))
    member = [{"entity": {"reference": f"Patient/{one}"}} for one in people[:2]]
    return fhir.create({"resourceType": "Group", "type": "person", "actual": True, "member": member,
                        "meta": TAGGED})["id"]


def _paged(fhir: Fhir, url: str) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    while url:
        answer = fhir.get(url)
        for one in answer.resources():
            found.setdefault(one["resourceType"], set()).add(one["id"])
        url = answer.link("next")
    return {name: sorted(some) for name, some in found.items()}


@pytest.mark.parametrize("scope", SCOPES)
def test_exports_are_what_searches_and_everything_show_to_the_same_token(varied, client, do_due, scope):
    who = client(scope)
    assert ids(exported(who, do_due, "$export")) == _paged(who, "?_count=5")
    assert ids(exported(who, do_due, "Patient/$export")) == _paged(who, "Patient/$everything?_count=3")
    if "Group" in _paged(who, "?_count=50"):
        of_group = f"Group/{varied}/"
        assert ids(exported(who, do_due, f"{of_group}$export")) == _paged(who, f"{of_group}$everything?_count=3")
    else:
        assert who.get(f"Group/{varied}/$export", **LATER).status in (403, 404)


def _tracking(monkeypatch) -> list[int]:
    """Return a list of how many resources each search of an export finds."""
    found: list[int] = []
    search = ResourceStore.search

    def counted(store, query):
        page = search(store, query)
        found.append(len(page.matches))
        return page

    monkeypatch.setattr(ResourceStore, "search", counted)
    return found


@ONE_DATABASE
def test_the_patients_of_a_group_are_searched_for_together(fhir, do_due, monkeypatch):
    people = [fhir.create(patient(family=f"F{number}"))["id"] for number in range(30)]
    shared = fhir.create({"resourceType": "Appointment", "status": "proposed", "participant": [
        {"actor": {"reference": f"Patient/{one}"}, "status": "accepted"} for one in people]})["id"]  # fmt: skip
    of_one = [fhir.create(observation(f"Patient/{one}"))["id"] for one in people]
    pair = fhir.create(PROVENANCE | {"target": [{"reference": f"Appointment/{shared}"}]})["id"]
    member = [{"entity": {"reference": f"Patient/{one}"}} for one in people]
    group = fhir.create({"resourceType": "Group", "type": "person", "actual": True, "member": member})["id"]
    expected = {"Patient": sorted(people), "Appointment": [shared], "Observation": sorted(of_one), "Group": [group],
                "Provenance": [pair]}  # fmt: skip
    searches = _tracking(monkeypatch)
    assert ids(exported(fhir, do_due, f"Group/{group}/$export")) == expected
    assert len(searches) < 5
    searches.clear()
    monkeypatch.setattr("hie.operations.export.records._PATIENTS", 7)
    assert ids(exported(fhir, do_due, f"Group/{group}/$export")) == expected, "each once, of whomever it is"
    assert len(searches) < 15, "what was met before is left out of a page, and nothing of the page is asked anew"


@ONE_DATABASE
def test_a_file_is_of_so_many_bytes_whatever_refers_to_its_resources(fhir, do_due, monkeypatch):
    """Scans of documents are the largest of all, and Binaries come by what refers to them."""
    monkeypatch.setattr("hie.interactions.bulk.MOST_BYTES", 500_000)
    one = fhir.create(patient())["id"]
    for _ in range(5):
        scan = {"resourceType": "Binary", "contentType": "image/png", "data": b64encode(urandom(150_000)).decode()}
        content = [{"attachment": {"url": f"Binary/{fhir.create(scan)['id']}"}}]
        fhir.create({"resourceType": "DocumentReference", "status": "current", "content": content,
                     "subject": {"reference": f"Patient/{one}"}})  # fmt: skip
    address = kicked_off(fhir, "Patient/$export?_type=Binary")
    do_due()
    files = fhir.get(address).json["output"]
    assert [file["count"] for file in files] == [2, 2, 1]
    assert max(len(fhir.get(file["url"]).content) for file in files) < 500_000
    monkeypatch.setattr("hie.interactions.bulk.MOST_BYTES", 100_000)
    address = kicked_off(fhir, "$export?_type=Binary")
    do_due()
    assert [file["count"] for file in fhir.get(address).json["output"]] == [1] * 5, "larger than a file by itself"
