"""A population that grows without any search of it finding more: for `python -m benchmarks.scale`.

Family names and days grow with the number of patients, so that a name keeps its bearers and a day its Observations:
what takes longer in a larger store is then the index, not a longer page. A patient is made from its number alone.
"""

from __future__ import annotations

import datetime
import multiprocessing
import random
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks import samples
from hie.fhir import json_format
from hie.fhir.scopes import FULL_GRANT
from hie.settings import Settings
from hie.store.audit import AuditEntry
from hie.store.resources import ResourceStore
from hie.store.store import Store

OBSERVATIONS = 100
PER_PATIENT = OBSERVATIONS + 1
PATIENTS_A_TRANSACTION = 10
BEARERS = 5
"""Patients of one family name."""
DAYS_A_PATIENT = 5
"""So a day has 20 Observations: 500 days at 10,000 resources, 137 years at 1,000,000."""
FIRST_DAY = datetime.date(1880, 1, 1)
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwxz", "aeiou"


def patient_id(number: int) -> str:
    """Return the id of a patient."""
    return str(uuid.UUID(int=random.Random(number).getrandbits(128), version=4))


def family(number: int) -> str:
    """Return a patient's family name: four syllables, of which five names share all but the last letter."""
    rest, name = number // BEARERS, ""
    for _ in range(4):
        rest, digit = divmod(rest, len(_CONSONANTS) * len(_VOWELS))
        name = _CONSONANTS[digit // len(_VOWELS)] + _VOWELS[digit % len(_VOWELS)] + name
    return name.capitalize()


def identifier(number: int) -> str:
    """Return a patient's identifier as a search asks for it."""
    return f"urn:oid:1.2.36.146.595.217.0.1|MRN-P{number}"


def day(number: int, within: range) -> str:
    """Return the date of one of the days that belong to a block of patients."""
    offset = random.Random(number).randrange(within.start * DAYS_A_PATIENT, within.stop * DAYS_A_PATIENT)
    return (FIRST_DAY + datetime.timedelta(offset)).isoformat()


def resources(number: int, within: range) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield a patient with its id, and its Observations, dated on the days of the block that it belongs to."""
    source, id_ = random.Random(number), patient_id(number)
    system, _, value = identifier(number).partition("|")
    made = samples.patient(source)
    made["identifier"] = [{"system": system, "value": value}]
    made["name"][0]["family"] = family(number)
    yield _received(made), id_
    for _ in range(OBSERVATIONS):
        observed = samples.observation(source, f"Patient/{id_}")
        time_of_day = observed["effectiveDateTime"].partition("T")[2]
        observed["effectiveDateTime"] = observed["issued"] = f"{day(source.getrandbits(62), within)}T{time_of_day}"
        yield _received(observed), None


def _received(made: dict[str, Any]) -> dict[str, Any]:
    """Return a resource as it is read from JSON: with decimals, as floats are not indexed."""
    return dict(json_format.parse(samples.dumped(made)))


def bound(store: Store) -> ResourceStore:
    """Return the store as a request with every scope has it."""
    return store.bind(FULL_GRANT, AuditEntry(1, store.clock(), "benchmark", "search", "benchmark"))


def fill(settings: Settings, block: range, processes: int) -> None:
    """Add patients with their Observations, in several processes, and tell the rate."""
    started = time.perf_counter()
    groups = [block[first : first + PATIENTS_A_TRANSACTION] for first in range(0, len(block), PATIENTS_A_TRANSACTION)]
    context = multiprocessing.get_context("spawn")
    shares = [
        context.Process(target=_add, args=(settings, groups[share::processes], block)) for share in range(processes)
    ]
    for one in shares:
        one.start()
    for one in shares:
        one.join()
    if any(one.exitcode for one in shares):
        raise RuntimeError("A process that filled the store failed.")
    written = len(block) * PER_PATIENT
    seconds = time.perf_counter() - started
    print(f"  {written:,} resources in {seconds:.0f} s, {written / seconds:,.0f}/s", file=sys.stderr, flush=True)


def _add(settings: Settings, groups: Sequence[range], block: range) -> None:
    store = Store.open(settings)

    def add(inside: ResourceStore, group: range) -> None:
        for number in group:
            for resource, id_ in resources(number, block):
                inside.create(resource["resourceType"], resource, id=id_)

    try:
        for group in groups:
            bound(store).transact(partial(add, group=group))
    finally:
        store.close()
