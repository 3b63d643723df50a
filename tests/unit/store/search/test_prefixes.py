"""What each prefix finds, by hand: https://hl7.org/fhir/R4/search.html#prefix, #number, #date"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.fhir.json_format import JsonDecimal
from hie.store.resources import ResourceStore
from hie.store.search import engine, query

Bind = Callable[..., ResourceStore]

#: id of an Encounter -> its length
LENGTHS = {"a": "5.349", "b": "5.35", "c": "5.4", "d": "5.449", "e": "5.45", "f": "<5.4", "g": "<=5.4", "h": ">5.4",
           "i": ">=5.4"}  # fmt: skip
#: id of an Encounter -> its period
PERIODS = {
    "a": ("2013-01-13", "2013-01-13"), "b": ("2013-01-13", "2013-01-14"), "c": ("2013-01-14", "2013-01-14"),
    "d": ("2013-01-14T10:00:00Z", "2013-01-14T11:00:00Z"), "e": ("2013-01-14", "2013-01-15"),
    "f": ("2013-01-15", "2013-01-15"), "g": (None, "2013-01-13"), "h": ("2013-01-15", None), "i": ("2012", "2014"),
}  # fmt: skip


def write(store: ResourceStore, resources: list[dict[str, Any]]) -> None:
    store.transact(lambda inside: [inside.create(one["resourceType"], one, id=one["id"]) for one in resources])


def found(store: ResourceStore, name: str, text: str) -> str:
    page = engine.search(store, query.parse("Encounter", [(name, text)]))
    return "".join(sorted(one.id for one in page.matches))


@pytest.fixture
def encounters(bind: Bind) -> ResourceStore:
    made = []
    for id_, text in LENGTHS.items():
        number = text.lstrip("<>=")
        length: dict[str, Any] = {"value": JsonDecimal(number), "unit": "h"}
        if text != number:
            length["comparator"] = text[: -len(number)]
        start, end = PERIODS[id_]
        period = {name: value for name, value in (("start", start), ("end", end)) if value}
        made.append({"resourceType": "Encounter", "id": id_, "length": length, "period": period,
                     "location": [{"period": period}], "status": "finished"})  # fmt: skip
    write(bind(), made)
    return bind()


@pytest.mark.proves("prefix:*", "search:quantity")
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("5.4", "bcd"),  # to two significant digits: 5.35 <= value < 5.45
        ("5.40", "c"),
        ("eq5", "abcde"),  # to one: 4.5 <= value < 5.5
        ("ne5.4", "aefghi"),
        ("gt5.4", "dehi"),
        ("ge5.4", "cdeghi"),
        ("lt5.4", "abfg"),
        ("le5.4", "abcfgi"),
        ("sa5.4", "deh"),
        ("eb5.4", "abf"),
        ("ap5.4", "abcdefghi"),
        ("ap4.9", "abfg"),  # a tenth of it: 4.41 to 5.39
    ],
)
def test_a_quantity_stands_to_the_value_as_its_prefix_says(
    encounters: ResourceStore, text: str, ids: str
) -> None:
    assert found(encounters, "length", text) == ids
    assert found(encounters, "length", f"{text}||h") == ids
    assert found(encounters, "length", f"{text}||min") == ""


@pytest.mark.proves("prefix:eq", "prefix:ne")
@pytest.mark.parametrize("text", ["27.719847352410905", "-27.719847352410905", "123456789012345678901234567", "5e-324"])
def test_a_number_of_more_digits_than_a_double_has_is_found_by_itself(bind: Bind, text: str) -> None:
    length = {"value": JsonDecimal(text), "system": "http://unitsofmeasure.org", "code": "h"}
    write(bind(), [{"resourceType": "Encounter", "id": "a", "length": length, "status": "finished"}])
    for asked in (text, f"{text}||h", f"{text}|http://unitsofmeasure.org|h"):
        assert (found(bind(), "length", asked), found(bind(), "length", f"ne{asked}")) == ("a", "")


BEYOND = {"a": "1e400", "b": "-1e400", "c": "1e300", "d": "-0", "e": "0"}


@pytest.mark.proves("prefix:*")
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("1e400", "a"), ("ne1e400", "bcdefg"), ("ap1e400", "af"), ("ge1e400", "af"), ("lt1e400", "bcdefg"),
        ("-1e400", "b"), ("ne-1e400", "acdefg"), ("ap-1e400", "bg"), ("gt1e299", "acf"), ("-0", "de"), ("0", "de"),
        ("gt-0", "acf"), ("lt0", "bg"), ("ge-0", "acdef"), ("1e300", "c"), ("1e-400", "de"),
    ],
)  # fmt: skip
def test_numbers_beyond_doubles_are_found_by_themselves_and_minus_zero_is_zero(
    bind: Bind, text: str, ids: str
) -> None:
    """`f` is more than 5 and `g` less than -5: open above and below, they are none of the numbers there."""
    lengths: dict[str, Any] = {id_: {"value": JsonDecimal(value)} for id_, value in BEYOND.items()}
    lengths |= {"f": {"value": 5, "comparator": ">"}, "g": {"value": -5, "comparator": "<"}}
    write(bind(), [{"resourceType": "Encounter", "id": id_, "status": "finished",
                    "length": {**length, "system": "http://unitsofmeasure.org", "code": "h"}}
                   for id_, length in lengths.items()])  # fmt: skip
    for asked in (text, f"{text}|http://unitsofmeasure.org|h"):
        assert found(bind(), "length", asked) == ids


@pytest.mark.proves("prefix:*", "search:date")
@pytest.mark.parametrize("name", ["date", "location-period"])
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("2013-01-14", "cd"),  # the period lies inside the day
        ("ne2013-01-14", "abefghi"),
        ("gt2013-01-14", "efhi"),
        ("lt2013-01-14", "abgi"),
        ("ge2013-01-14", "cdefhi"),
        ("le2013-01-14", "abcdgi"),
        ("sa2013-01-14", "fh"),
        ("eb2013-01-14", "ag"),
        ("ge2013-01-14T10:30Z", "bcdefhi"),
        ("eq2013", "abcdef"),
        ("2013-01", "abcdef"),
        ("eq2013-01-14T10:00:00Z", ""),
    ],
)
def test_a_period_stands_to_the_date_as_its_prefix_says(
    encounters: ResourceStore, name: str, text: str, ids: str
) -> None:
    assert found(encounters, name, text) == ids
