"""Histories as records."""

from datetime import date

import pytest

from ml.recommender import History, Item, LeftOut, RecommenderError
from ml.recommender.history import joined, parse_date, united


def item(code, day=None, *sources, display=None, kind="condition"):
    return Item(kind, "http://snomed.info/sct", code, display, day, sources)


def test_items_of_one_code_become_one_with_the_first_date_and_all_sources_oldest_first():
    items = (item("1", "2012-05-01", "C/2"), item("1", None, "C/3"), item("1", "2011", "C/1"), item("0"))

    assert united(items) == (item("0"), item("1", "2011", "C/1", "C/2", "C/3"))


def test_a_display_comes_from_whichever_item_has_one():
    assert united([item("1", "2011"), item("1", "2012", display="Cough")])[0].display == "Cough"


def test_the_same_code_as_another_kind_is_another_item():
    assert len(united([item("1"), item("1", kind="procedure")])) == 2


@pytest.mark.parametrize(
    ("born", "on", "age"),
    [
        ("1980-06-15", "2020-06-14", 39),
        ("1980-06-15", "2020-06-15", 40),
        ("1980", "2020", 40),
        ("1980-06", date(2020, 5, 31), 39),
        ("2021-01-01", "2020-01-01", None),
        (None, "2020-01-01", None),
        ("1980-06-15", None, None),
        ("1980-02-29", "2023-02-28", 42),
    ],
)
def test_age_counts_whole_years(born, on, age):
    assert History("p", birth_date=born).age(on) == age


@pytest.mark.parametrize("text", ["", "80", "1980-13", "1980-02-30", "1980-1-1", "1980-01-01T00:00:00Z", "x" * 10])
def test_a_text_that_is_no_date_is_refused_without_repeating_it(text):
    with pytest.raises(RecommenderError) as error:
        parse_date(text)
    assert text == "" or text not in str(error.value)


def test_the_last_date_is_that_of_the_newest_dated_item():
    assert History("p", items=(item("1", "2011-03"), item("2"), item("3", "2010"))).last_date == "2011-03"
    assert History("p", items=(item("1"),)).last_date is None


def test_two_histories_of_a_patient_join_into_one():
    left_out = (LeftOut("Condition/9", "status draft"),)
    one = History("p", items=(item("1", "2011"),), left_out=left_out)
    two = History("p", "female", "1980", (item("1", "2010"), item("2")), deceased=True)

    assert joined([one, two]) == History("p", "female", "1980", (item("1", "2010"), item("2")), True, left_out)
