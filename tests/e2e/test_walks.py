"""Who follows the links of a search meets each resource once while others write.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import pytest

from tests.builders import observation

RESOURCES, WRITERS, WALKS = 60, 3, 16
SEARCHES = ("Observation?_count=7", "Observation?_count=7&_sort=-_lastUpdated",
            "Observation?_count=7&_sort=value-quantity")


@pytest.mark.without_jobs
def test_walks_beside_writers_lose_nothing_and_repeat_nothing(exchange: Any) -> None:
    """Two server processes; every resource is changed again and again, so that it moves in two of the three orders."""
    ids = [f"o{number}" for number in range(RESOURCES)]
    for id_ in ids:
        assert exchange.request("PUT", f"/fhir/Observation/{id_}", observation(id=id_))[0] == 201
    is_over = threading.Event()

    def write(number: int) -> None:
        rng = random.Random(number)
        while not is_over.is_set():
            id_ = rng.choice(ids)
            exchange.request("PUT", f"/fhir/Observation/{id_}", observation(id=id_, value=rng.randrange(1000)))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        walks = [walk(exchange, search) for _ in range(WALKS) for search in SEARCHES]
        histories = [walk(exchange, "Observation/_history?_count=50") for _ in range(3)]
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    assert [found for found in walks if found != Counter(ids)] == []
    assert [found for found in histories if set(found.values()) != {1}] == []


def walk(exchange: Any, search: str) -> Counter[str]:
    """Return how often each resource, or version, is met; all pages tell the same total, and that many are met."""
    found: Counter[str] = Counter()
    totals = set()
    address: str | None = f"/fhir/{search}"
    while address is not None:
        status, page, _ = exchange.request("GET", address)
        assert status == 200, page
        found.update(entry["resource"]["id"] + entry.get("response", {}).get("etag", "") for entry in page["entry"])
        totals.add(page["total"])
        links = {link["relation"]: link["url"] for link in page["link"]}
        address = links["next"].removeprefix(exchange.address) if "next" in links else None
    assert totals == {found.total()}
    return found
