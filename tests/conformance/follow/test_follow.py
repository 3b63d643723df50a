"""`hie follow`: another server's history is here in the end, whatever it looks like there."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from hie.commands import follow
from hie.commands.connection import ExchangeError
from hie.commands.follow import Follower
from hie.commands.following import sending
from tests.builders import observation, patient
from tests.conformance.follow.conftest import ALL, Run, everything, numbers, one_database
from tests.conformance.happenings import happen
from tests.sources import Source, at, outcome, page, serving, told

# ---- what servers have, and how they tell it -------------------------------------------------------------------------


def test_pages_come_newest_first_and_versions_are_stored_oldest_first(run, fake, fhir):
    fake.routes["/fhir/_history"] = page(
        told("Patient/a", 3, patient("Three"), second=9), told("Observation/o", 1, observation("Patient/a"), second=8),
        following="?_getpages=x&_getpagesoffset=2")
    fake.routes["/fhir/?_getpages=x&_getpagesoffset=2"] = page(
        told("Patient/a", 2, patient("Two"), second=7), told("Patient/a", 1, patient("One"), second=6, method="POST"))
    fake.routes["/fhir/_history"][2]["link"][0]["url"] = f"{fake.url}/?_getpages=x&_getpagesoffset=2"
    poll = run(fake.url)
    assert (poll.sent.stored, poll.sent.refusals) == (4, 0)
    assert numbers(fhir, "Patient/a") == ["Three", "Two", "One"]
    assert fhir.total("Observation?subject=Patient/a") == 1
    assert json.loads(run.state.read_text())["followed"][0]["until"] == at(9)
    assert run.state.stat().st_mode & 0o777 == 0o600


@one_database
def test_a_server_that_tells_the_oldest_first_is_followed_too(run, fake, fhir):
    fake.has(told("Patient/a", 1, patient("One"), second=1), told("Patient/a", 2, patient("Two"), second=2),
             told("Observation/o", 1, observation("Patient/a"), second=3))
    run(fake.url)
    assert numbers(fhir, "Patient/a") == ["Two", "One"]


def test_as_hapi_tells_it(run, fake, fhir):
    """URLs name the version, deletions have no time, references are those of another address of it."""
    rows = [told("Patient/1", 3, second=5), told("Patient/1", 2, patient("Two"), second=4),
            told("Patient/2", 1, patient("Other"), second=3, method="POST"),
            told("Patient/1", 1, patient("One"), second=2, method="POST")]
    for row in rows:
        number = row["response"]["etag"][3:-1]
        row["request"]["url"] = f"{row['request']['url']}/_history/{number}"
        del row["response"]["lastModified"]
    fake.has(told("Observation/o", 1, observation("http://there.example/fhir/Patient/2"), second=6), *rows)
    assert run(fake.url).sent.refusals == 0
    assert numbers(fhir, "Patient/1") == ["deleted", "Two", "One"]
    assert fhir.get("Observation/o").json["subject"]["reference"] == "Patient/2"
    assert run(fake.url, since=1).sent.effects == {("Patient", "here already"): 4, ("Observation", "here already"): 1}


@one_database
@pytest.mark.parametrize("change", [
    {"fullUrl": "Patient/a"}, {"fullUrl": None}, {"fullUrl": "urn:uuid:5c1b5b4e-0000-4000-8000-000000000000"},
    {"fullUrl": "http://there.example/fhir/Patient/a/_history/1"}, {"request": None},
    {"request": {"method": "GET", "url": "Patient/a/_history/1"}}, {"response": None},
    {"search": {"mode": "match"}, "extension": [{"url": "urn:x", "valueString": "y"}]},
])  # fmt: skip
def test_entries_may_say_less_or_more(run, fake, fhir, change):
    row = {**told("Patient/a", 1, patient("One")), **change}
    fake.has({name: value for name, value in row.items() if value is not None})
    assert run(fake.url).sent.stored == 1
    assert numbers(fhir, "Patient/a") == ["One"]


def test_a_version_that_is_told_twice_is_stored_once(run, fake, fhir):
    """Pages that are numbered from the newest on shift when something is written meanwhile."""
    two, one = told("Patient/a", 2, patient("Two"), second=2), told("Patient/a", 1, patient("One"), second=1)
    gone = told("Patient/b", 2, second=4)
    fake.has(gone, gone, told("Patient/b", 1, patient("B"), second=3), two, two, one, two, one)
    poll = run(fake.url)
    assert (poll.sent.stored, run.said) == (4, [])
    assert numbers(fhir, "Patient/a") == ["Two", "One"]


def test_versions_without_an_id_are_told_apart_by_their_time(run, fake, fhir):
    fake.has(told("Patient/a", None, patient("Again"), second=3), told("Patient/a", None, second=2),
             told("Patient/a", None, patient("One"), second=1))
    for effect in ("stored", "here already"):
        poll = run(fake.url, since=1)
        assert run.said == []
        assert poll.sent.effects == {("Patient", effect): 3}
    assert numbers(fhir, "Patient/a") == ["Again", "deleted", "One"]


def test_without_a_history_of_the_system_those_of_the_declared_types_are_read(run, fake, fhir):
    fake.routes["/fhir/_history"] = 404, {}, outcome("not-supported", "no such interaction")
    fake.routes["/fhir/metadata"] = 200, {}, {"resourceType": "CapabilityStatement", "rest": [{"resource": [
        {"type": "Observation", "interaction": [{"code": "read"}, {"code": "history-type"}]},
        {"type": "Patient", "interaction": [{"code": "history-type"}]},
        {"type": "Group", "interaction": [{"code": "history-instance"}]}]}]}
    fake.has(told("Observation/o", 1, observation("Patient/a"), second=2), path="Observation/_history")
    fake.has(told("Patient/a", 1, patient("One"), second=1), path="Patient/_history")
    assert run(fake.url).sent.stored == 2  # by their times, not by their types
    assert fhir.total("Observation?subject=Patient/a") == 1


@one_database
def test_without_any_history_what_is_missing_is_told(run, fake):
    fake.routes["/fhir/metadata"] = 200, {}, {"resourceType": "CapabilityStatement"}
    with pytest.raises(ExchangeError, match=r"no history of the system \(GET .* answers 404: There is no such route"):
        run(fake.url)


@one_database
def test_named_types_are_followed_alone(run, fake, fhir):
    fake.has(told("Patient/a", 1, patient("One")), path="Patient/_history")
    assert run(fake.url, types=["Patient"]).sent.stored == 1
    assert fake.asked == [f"/fhir/Patient/_history?_count=500&{ALL}"]
    with pytest.raises(ExchangeError, match=r"Group/_history.* answers 404: .* Name the types"):
        run(fake.url, types=["Group"])


# ---- what is refused here --------------------------------------------------------------------------------------------


def test_a_version_that_is_refused_takes_no_other_with_it(run, fake, fhir):
    bad = {**patient("Bad"), "gender": "f"}
    fake.has(told("Patient/c", 1, bad, second=6), told("Patient/a", 3, patient("Three"), second=5),
             told("Patient/a", 2, bad, second=4), told("Patient/b", 1, patient("B"), second=3),
             told("Patient/a", 1, patient("One"), second=2), told("Patient/d", 1, bad, second=1))
    poll = run(fake.url)
    assert (poll.sent.stored, poll.sent.refusals) == (3, 3)
    assert numbers(fhir, "Patient/a") == ["Three", "One"]
    assert fhir.total("Patient") == 2
    assert sorted(line.split(" resource.gender code-invalid: ")[0] for line in run.said) == [
        "refused, left out: Patient/a/_history/2", "refused, left out: Patient/c/_history/1",
        "refused, left out: Patient/d/_history/1"]
    again = run(fake.url)
    assert (again.sent.refusals, run.said) == (0, [])  # it was told, and is not sent again


def test_many_refusals_are_all_told(run, fake, fhir):
    fake.has(*(told(f"Patient/p{n}", 1, patient(f"N{n}") if n % 3 else {"resourceType": "Patient", "gender": 7},
                    second=n) for n in range(60)))
    poll = run(fake.url)
    assert (poll.sent.stored, poll.sent.refusals, len(run.said)) == (40, 20, 20)


def test_what_refers_to_what_comes_later_waits_for_it_with_its_later_versions(run, fake, fhir, monkeypatch):
    monkeypatch.setattr(sending, "BUNDLE_VERSIONS", 1)
    fake.has(told("Patient/a", 1, patient("A"), second=4), told("Observation/o", 3, second=3),
             told("Observation/o", 2, observation("Patient/a", value=2), second=2),
             told("Observation/o", 1, observation("Patient/a"), second=1))
    poll = run(fake.url)
    assert (poll.sent.stored, poll.sent.refusals) == (4, 0)
    assert len(fhir.get("Observation/o/_history").entries()) == 3


def test_what_still_waits_is_asked_for_again_by_its_own_history(run, fake, fhir):
    waiting = [told("Observation/o", 2, observation("Patient/a", value=2), second=200),
               told("Observation/o", 1, observation("Patient/a"), second=100)]
    fake.has(told("Patient/b", 1, patient("B"), second=1000), *waiting)
    poll = run(fake.url)
    assert (poll.sent.stored, poll.sent.refusals) == (1, 2)
    assert all(line.startswith("refused, waits: Observation/o/_history/") for line in run.said)
    assert json.loads(run.state.read_text())["followed"][0]["waiting"] == {"Observation/o": at(100)}
    fake.has(told("Patient/a", 1, patient("A"), second=1010))
    fake.has(*waiting, path="Observation/o/_history")
    poll = run(fake.url)
    assert (poll.sent.stored, poll.sent.refusals) == (3, 0)
    assert len(fhir.get("Observation/o/_history").entries()) == 2
    assert json.loads(run.state.read_text())["followed"][0]["waiting"] == {}


def test_what_waits_and_is_not_there_any_more_is_let_go(run, fake):
    fake.has(told("Observation/o", 1, observation("Patient/a"), second=1))
    assert run(fake.url).sent.refusals == 1
    fake.has(told("Patient/b", 1, patient("B"), second=1000))
    for expected in (1, 0):
        assert run(fake.url).sent.refusals == expected


def test_where_more_waits_than_is_asked_for_nothing_is_passed(run, fake, fhir, monkeypatch):
    monkeypatch.setattr(follow, "MOST_WAITING", 2)
    rows = [told(f"Observation/o{n}", 1, observation("Patient/a"), second=500 + n) for n in range(3)]
    fake.has(*rows, told("Patient/b", 1, patient("B"), second=1))
    with pytest.raises(ExchangeError, match="refuses 3 resources for now"):
        run(fake.url)
    fake.has(told("Patient/a", 1, patient("A"), second=600), *rows)
    assert run(fake.url).sent.stored == 4


@pytest.mark.parametrize("first", [patient("Theirs"), {**patient("Bad"), "gender": "f"}], ids=["good", "bad"])
def test_what_another_server_created_is_not_put_over_what_is_here(run, fake, fhir, first):
    fhir.put("Patient/a", patient("Mine", id="a"))
    fake.has(told("Patient/a", 2, patient("Later"), second=2), told("Patient/a", 1, first, second=1, method="POST"))
    assert run(fake.url).sent.refusals == 2
    assert "something else is here under this id" in "".join(run.said)
    assert numbers(fhir, "Patient/a") == ["Mine"]


def test_a_token_that_may_not_write_loses_nothing(run, fake, fhir, client):
    fake.has(told("Observation/o", 1, observation("Patient/a"), second=2), told("Patient/a", 1, patient("A"), second=1))
    poll = run(fake.url, token=client("system/*.rs").token)
    assert (poll.sent.stored, poll.sent.refusals) == (0, 2)
    for place in ("Observation/o", "Patient/a"):
        fake.has(*(row for row in fake.routes["/fhir/_history"][2]["entry"] if row["request"]["url"] == place),
                 path=f"{place}/_history")
    fake.has()
    assert run(fake.url).sent.stored == 2


@one_database
def test_a_receiver_that_takes_no_history_is_told_soon(run, fake, tmp_path, fhir):
    fake.has(*(told(f"Patient/p{n}", 1, patient("A"), second=n) for n in range(300)))
    other = Source()
    other.routes["/fhir/metadata"] = 200, {}, {"resourceType": "CapabilityStatement"}
    other.posted = (422, {}, outcome("processing", "Unable to process Bundle of type history"))
    told_so = r"refuses one version after the other, the last with 422: .*of type history"
    with serving(other), Follower(fake.url, other.url, "t", tmp_path / "other") as follower, \
            pytest.raises(ExchangeError, match=told_so):
        follower.poll()
    assert len(other.asked) < 60


class TestSmall:
    """A server that takes few entries at once."""

    @pytest.fixture
    def settings(self, settings):
        return replace(settings, max_bundle_entries=10)

    def test_bundles_that_are_too_large_go_by_halves(self, run, fake, fhir):
        fake.has(*(told(f"Patient/p{n}", 1, patient("A"), second=n) for n in range(45)))
        assert run(fake.url).sent.stored == 45


# ---- two exchanges ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_both_histories_are_equal_whenever_it_is_followed_or_broken_off(run, there, fhir, seed, monkeypatch):
    other, base = there
    chance = random.Random(seed)
    monkeypatch.setattr(sending, "BUNDLE_VERSIONS", chance.choice((1, 3, 500)))
    headers = {"Authorization": f"Bearer {other.token}"}
    for _ in range(4):
        for _ in range(30):
            happen(other, chance)
        if chance.random() < 0.5:
            _break_off(run, base, headers, chance.randrange(4), monkeypatch)
        wanted = {"since": 1} if chance.random() < 0.2 else {}
        poll = run(base, headers=headers, count=chance.choice((2, 7, 500)), **wanted)
        assert (poll.sent.refusals, run.said) == (0, [])
        assert everything(fhir) == everything(other)


@pytest.mark.parametrize("seed", range(2))
def test_what_is_whole_in_the_end_is_stored_whole(run, fake, fhir, seed, monkeypatch):
    """A server that checks no references tells of them in any order, and of versions that are none."""
    chance = random.Random(seed)
    monkeypatch.setattr(sending, "BUNDLE_VERSIONS", chance.choice((1, 3, 10, 500)))
    rows, kept = _without_integrity(chance)
    cut = chance.randrange(len(rows))
    for polled in (rows[:cut], rows):
        for place in {row["request"]["url"] for row in polled}:
            fake.has(*(row for row in reversed(polled) if row["request"]["url"] == place), path=f"{place}/_history")
        fake.has(*reversed(polled))
        run(fake.url)
    assert json.loads(run.state.read_text())["followed"][0]["waiting"] == {}
    for place, versions in kept.items():
        found = [row.get("resource", {}).get("language") for row in fhir.get(f"{place}/_history").entries()]
        assert found[::-1] == versions


def _without_integrity(chance: random.Random) -> tuple[list[Any], dict[str, list[Any]]]:
    """Return entries, the oldest first, and the languages of the versions that can be stored; None: a deletion."""
    rows: list[Any] = []
    kept: dict[str, list[Any]] = {}
    counts: dict[str, int] = {}

    def add(place: str, resource: Any, is_valid: bool = True) -> None:
        counts[place] = number = counts.get(place, 0) + 1
        language = None if resource is None else f"x-n{number}"
        if resource is not None:
            resource = {**resource, "language": language, **({} if is_valid else {"status": "nonsense", "gender": "x"})}
        rows.append(told(place, number, resource, second=len(rows)))
        if (is_valid if resource is not None else kept.get(place, [None])[-1] is not None):
            kept.setdefault(place, []).append(language)

    for _ in range(30):
        place = f"{chance.choice(('Patient', 'Observation'))}/{chance.choice('abc')}"
        refers = observation(f"Patient/{chance.choice('abc')}")
        made = {"Patient": patient(), "Observation": refers}[place.partition("/")[0]]
        add(place, None if chance.random() < 0.2 else made, chance.random() > 0.2)
    for id_ in "abc":
        add(f"Patient/{id_}", patient())
    return rows, kept


def _break_off(run: Run, base: str, headers: Any, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Follow, and end without a word when some Bundles have come through."""
    send, left = sending.Receiver.send, [after]

    def sent(self: Any, versions: Any) -> Any:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return send(self, versions)

    with monkeypatch.context() as patched:
        patched.setattr(sending.Receiver, "send", sent)
        with suppress(KeyboardInterrupt):
            run(base, headers=headers)
