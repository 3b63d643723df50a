"""`hie follow` between two started servers, whole and killed in the midst of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import waiting
from tests.builders import bundle, observation, patient, post, put

pytestmark = pytest.mark.without_jobs


@pytest.fixture(scope="module")
def other(shared: Callable[..., Any]) -> Any:
    """Another exchange, which is on SQLite."""
    return shared()


def options(source: Any, destination: Any, folder: Path, *more: str) -> list[str]:
    for name, one in (("source", source), ("url", destination)):
        (folder / name).write_text(one.token)
    return ["follow", f"{source.address}/fhir", "--url", f"{destination.address}/fhir", "--token-file",
            str(folder / "url"), "--source-token-file", str(folder / "source"), "--state", str(folder / "state"), *more]


def history(exchange: Any) -> dict[str, list[Any]]:
    """Return the versions of each resource, but for what tells them apart as versions."""
    found: dict[str, list[Any]] = {}
    path = "/fhir/_history?_count=1000"
    while path:
        status, page, _ = exchange.request("GET", path)
        assert status == 200
        for row in page.get("entry", []):
            resource = row.get("resource")
            if resource is not None:
                del resource["meta"]["versionId"], resource["meta"]["lastUpdated"]
            found.setdefault("/".join(row["fullUrl"].rsplit("/", 2)[1:]), []).append(resource)
        following = [one["url"] for one in page["link"] if one["relation"] == "next"]
        path = following[0].removeprefix(exchange.address) if following else ""
    return found


def fill(exchange: Any, chance: random.Random, number: int) -> None:
    """Store people with what was observed of them, change some and delete some."""
    people: list[str] = []
    for _ in range(number):
        entries = [post(patient(f"N{chance.random()}"), "urn:uuid:00000000-0000-4000-8000-000000000001"), *(
            post(observation("urn:uuid:00000000-0000-4000-8000-000000000001", value=chance.randrange(50, 99)))
            for _ in range(chance.randrange(1, 6)))]
        status, answer, _ = exchange.request("POST", "/fhir", bundle(*entries, type_="transaction"))
        assert status == 200
        person, *seen = ("/".join(row["response"]["location"].split("/")[-4:-2]) for row in answer["entry"])
        people.append(person)
        if chance.random() < 0.3:
            assert exchange.request("DELETE", f"/fhir/{seen[0]}")[0] == 200
    for person in chance.sample(people, number // 3):
        id_ = person.partition("/")[2]
        status, _, _ = exchange.request("POST", "/fhir", bundle(
            put(patient("Other", id=id_)), put(observation(person, id=f"o-{id_}")), type_="transaction"))
        assert status == 200


@pytest.mark.parametrize("direction", ["here", "there"])
def test_all_is_followed_and_what_changed_since(exchange, other, tmp_path, direction):
    source, destination = (other, exchange) if direction == "here" else (exchange, other)
    before = {} if direction == "here" else history(destination)
    for seed in (1, 2):
        fill(source, random.Random(seed), 6)
        done = source.command(*options(source, destination, tmp_path))
        assert " 0 refusals in " in done.stdout.splitlines()[-1]
        here = history(destination)
        assert {place: rows for place, rows in here.items() if place not in before} == history(source)
    again = source.command(*options(source, destination, tmp_path))
    assert again.stdout.splitlines()[-1].startswith("0 versions stored, ")
    assert json.loads((tmp_path / "state").read_text())["followed"][0]["source"] == f"{source.address}/fhir"
    assert destination.command("check").stdout.splitlines()[-1] == "clean"


@pytest.fixture(scope="module")
def full(other: Any) -> Any:
    """The other exchange with so many versions that they are sent in several Bundles."""
    fill(other, random.Random(3), 150)
    return other


def test_a_command_that_is_killed_goes_on_without_loss(exchange, full, tmp_path):
    other = full
    for _ in range(2):
        _kill_in_the_midst(options(other, exchange, tmp_path), other, tmp_path / "state")
    done = other.command(*options(other, exchange, tmp_path))
    assert " 0 refusals in " in done.stdout.splitlines()[-1]
    assert history(exchange) == history(other)


def _kill_in_the_midst(arguments: list[str], exchange: Any, state: Path) -> None:
    """Run the command until it notes that a Bundle was taken, or to its end."""
    before = state.read_text() if state.exists() else ""
    running = exchange.programs.start(["hie.cli", *arguments], env=exchange._environment)
    waiting.until(lambda: running.poll() is not None or (
        state.exists() and state.read_text() not in ("", before)), 60)
    running.kill()
    running.wait()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_it_goes_on_following_until_it_is_ended(exchange, other, tmp_path):
    command = ["hie.cli", *options(other, exchange, tmp_path, "--every", "1")]
    running = other.programs.start(command, env=other._environment)
    try:
        for family in ("One", "Two"):
            other.request("PUT", "/fhir/Patient/followed", patient(family, id="followed"))
            waiting.until(lambda family=family: family in json.dumps(
                exchange.request("GET", "/fhir/Patient/followed")[1]), 60)
        refused = other.command(*command[1:], check=False)
        assert refused.returncode == 1
        assert refused.stderr == f"Error: Another `hie follow` is writing {tmp_path / 'state'}.\n"
    finally:
        running.terminate()
        running.wait()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_is_wrong_is_told_in_one_line(exchange, other, tmp_path):
    def told(*arguments: str, changed: dict[str, str] | None = None) -> tuple[int, str]:
        asked = [(changed or {}).get(one, one) for one in options(other, exchange, tmp_path, *arguments)]
        done = other.command(*asked, check=False)
        return done.returncode, done.stderr.splitlines()[-1]

    source, here = f"{other.address}/fhir", f"{exchange.address}/fhir"
    assert told("--type", "Nonsense") == (2, "Error: --type Nonsense: no resource type of FHIR R4.")
    assert told("--since", "2024") == (2, "Error: --since 2024: an instant is written as 2024-05-17T10:30:00Z.")
    assert told(changed={source: here}) == (1, f"Error: {here} cannot follow itself.")
    assert told(changed={here: exchange.address})[1].startswith(f"Error: {exchange.address} is not the base of a FHIR")
    assert told("--source-token", "wrong")[1].startswith(f"Error: {source} refuses the token: ")
    assert told("--token", "wrong")[1].startswith(f"Error: {here} refuses the token: ")
    (tmp_path / "state").write_text("{}")
    assert told()[1].startswith(f"Error: {tmp_path / 'state'} is no state of `hie follow`; name another file")
