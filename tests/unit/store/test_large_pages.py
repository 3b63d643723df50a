"""Pages of large resources end where they are too many bytes, and hold no more of them in memory than that."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from hie.errors import Gone, IntegrityFailure
from hie.store import contents, history
from hie.store.models import resource
from hie.store.resources import ResourceStore
from hie.store.search import chained_order, inclusion, query
from hie.store.store import Store
from tests.builders import observation, patient

Bind = Callable[..., ResourceStore]
LONG = "x" * 900
SEARCHES = [
    [], [("_sort", "date")], [("_sort", "-date")], [("_sort", "code")], [("_sort", "-date,status")],
    [("code:text", "heart")], [("value-quantity", "gt100"), ("_sort", "_id")], [("date", "ge2024")],
]  # fmt: skip


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 3,000 bytes be a page, 500 a large content to be kept meanwhile."""
    for where, name, value in ((history, "MOST_BYTES", 3_000), (inclusion, "MOST_BYTES", 3_000),
                               (chained_order, "LARGE", 500)):  # fmt: skip
        monkeypatch.setattr(where, name, value)


def incompressible(number: int, length: int) -> str:
    return "".join(random.Random(number).choices(string.ascii_letters + string.digits, k=length))


@pytest.fixture
def filled(bind: Bind, bounds: None) -> ResourceStore:
    def unit(inside: ResourceStore) -> None:
        inside.create("Patient", patient("Large"), id="p")
        for number in range(23):
            length = 1_200 if number % 3 else 10
            made = observation("Patient/p", 100 + number, effectiveDateTime=f"2024-01-{number % 9 + 1:02}",
                               note=[{"text": incompressible(number, length)}])  # fmt: skip
            inside.create("Observation", made, id=f"o{number:02}")

    bind().transact(unit)
    return bind()


def sizes(versions: Any) -> int:
    return sum(len(one.content) for one in versions)


@pytest.mark.parametrize("asked", SEARCHES)
def test_pages_are_cut_and_nothing_is_lost(
    bind: Bind, filled: ResourceStore, asked: list[tuple[str, str]]
) -> None:
    def page(count: int, cursor: str | None = None, most: int = 3_000) -> Any:
        more = [("_count", str(count)), ("_total", "accurate"), *([("_cursor", cursor)] if cursor else [])]
        return bind().search(replace(query.parse("Observation", [*asked, *more]), most_bytes=most))

    found, cursor, pages = [], None, []
    while not pages or cursor:
        one = page(20, cursor)
        assert one.total == (22 if ("value-quantity", "gt100") in asked else 23)
        assert one.matches
        assert sizes(one.matches) <= 3_000 or len(one.matches) == 1
        found += one.matches
        pages.append([version.id for version in one.matches])
        cursor = one.cursors.next
        last = one.cursors
    assert len(pages) > 6
    assert all(len(version.content) > 1_200 for version in found if int(version.id[1:]) % 3)
    back, cursor = [], last.previous
    while cursor:
        one = page(20, cursor)
        back = [version.id for version in one.matches] + back
        cursor = one.cursors.previous
    in_order = [one for ids in pages for one in ids]
    assert back == in_order[: len(back)]
    assert len(back) == len(in_order) - len(pages[-1])
    assert in_order == [version.id for version in page(100, most=10**9).matches]


def test_histories_and_what_is_included_end_alike(bind: Bind, filled: ResourceStore) -> None:
    found, cursor = [], None
    while not found or cursor:
        page = bind().history("Observation", count=20, cursor=cursor)
        assert sizes(page.versions) <= 3_000 or len(page.versions) == 1
        found += [version.id for version in page.versions]
        cursor = page.next
    assert sorted(found) == [f"o{number:02}" for number in range(23)]
    asked = [("_revinclude", "Observation:subject")]
    one = bind().search(query.parse("Patient", asked))
    assert one.is_cut
    assert 1 < len(one.included) < 23
    assert sizes(one.included) <= 3_000


def test_large_contents_are_read_one_by_one(bind: Bind) -> None:
    """Whoever finds them: searches, histories, what is included, what was, and what is gone meanwhile."""
    text = incompressible(1, 2 * contents.LARGE)
    big = {"note": [{"text": text}], "id": "o"}
    bind().transact(lambda inside: inside.create("Patient", patient("Large"), id="p"))
    bind().transact(lambda inside: inside.create("Observation", observation("Patient/p", **big), id="o"))
    bind().transact(lambda inside: inside.update("Observation", "o", observation("Patient/p", value=1, **big)))
    then = bind().clock()
    first = bind().search(query.parse("Observation", [("_count", "1")])).matches
    bind().transact(lambda inside: inside.update("Observation", "o", observation("Patient/p", value=2, **big)))
    everything = [*first, *bind().history("Observation", "o").versions]
    for store in (bind(), bind().as_of(then)):
        everything += store.search(query.parse("Observation", [("_sort", "code")])).matches
        everything += store.search(query.parse("Patient", [("_revinclude", "Observation:subject")])).included
        everything += store.read_many([("Observation", "o")]).values()
    assert len(everything) == 10
    assert all(text in (version.content or b"").decode() for version in everything)
    bind().transact(lambda inside: inside.delete("Observation", "o"))
    assert bind().history("Observation", "o").versions[0].content is None


def test_a_content_that_vanished_is_told_and_one_that_was_taken_away_alarms(
    bind: Bind, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Erased, or removed, between the row and its content; or set to NULL by somebody in the file."""
    big = observation(note=[{"text": incompressible(1, 2 * contents.LARGE)}])
    bind().transact(lambda inside: inside.create("Observation", big, id="o"))
    bind().transact(lambda inside: inside.update("Observation", "o", big | {"status": "amended"}))
    old = bind().history("Observation", "o").versions[1]
    row = contents.read(bind().connection(), bind().tenant, old)
    found = row._replace(sealed=None)
    assert bind().open([found])[0] == old
    bind().transact(lambda inside: inside.erase_history("Observation", "o", 1))
    for vid in (1, 9):
        with pytest.raises(Gone, match="erased for good while this was read"):
            bind().open([found._replace(vid=vid)])
        with pytest.raises(Gone, match="erased for good while this was read"):
            bind().whole(old._replace(content=None, vid=vid))
    store.database.write(lambda connection: connection.execute(update(resource).values(sealed=None)))
    for ask in (lambda: bind().read("Observation", "o"), lambda: bind().search(query.parse("Observation", []))):
        with pytest.raises(IntegrityFailure, match="does not open"):
            ask()
    assert "a stored version does not open" in caplog.text


def test_large_contained_resources_are_sorted_and_shown(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chained_order, "LARGE", 500)

    def unit(inside: ResourceStore) -> None:
        for number in range(6):
            parts = [observation(id=f"{part}", code=f"{9 - number}", note=[{"text": incompressible(number, 1_000)}])
                     for part in "ab"]
            inside.create("DiagnosticReport", {
                "resourceType": "DiagnosticReport", "status": "final", "code": {"text": "x"}, "contained": parts,
                "result": [{"reference": "#a"}, {"reference": "#b"}]}, id=f"r{number}")  # fmt: skip

    bind().transact(unit)
    found, cursor = [], None
    while not found or cursor:
        asked = [("_contained", "true"), ("_containedType", "contained"), ("_sort", "code"), ("_count", "5"),
                 *([("_cursor", cursor)] if cursor else [])]  # fmt: skip
        page = bind().search(replace(query.parse("Observation", asked, contained=True), most_bytes=3_000))
        assert sizes(page.matches) <= 3_000
        found += page.matches
        cursor = page.next_cursor
    assert [(one.id, one.fragment) for one in found] == [(f"r{n}", part) for n in (5, 4, 3, 2, 1, 0) for part in "ab"]
    assert all(f'"id":"{one.fragment}"' in (one.content or b"").decode() for one in found)


def test_what_is_included_by_its_url_ends_alike(bind: Bind, bounds: None) -> None:
    """Responses that name a questionnaire, as those that refer to something."""
    url = "http://example.org/q"

    def unit(inside: ResourceStore) -> None:
        inside.create("Questionnaire", {"resourceType": "Questionnaire", "status": "active", "url": url}, id="q")
        for number in range(9):
            inside.create("QuestionnaireResponse", {
                "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": url,
                "item": [{"linkId": incompressible(number, 1_000)}]}, id=f"a{number}")  # fmt: skip

    bind().transact(unit)
    page = bind().search(query.parse("Questionnaire", [("_revinclude", "QuestionnaireResponse:questionnaire")]))
    assert page.is_cut
    assert 0 < len(page.included) < 9
    assert sizes(page.included) <= 3_000
