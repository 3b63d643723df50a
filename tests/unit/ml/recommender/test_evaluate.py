"""Splits and measures."""

from math import log2

import numpy as np
import pytest

from ml.recommender import History, Item, RecommenderError, evaluate
from ml.recommender.learning import for_learning
from ml.recommender.matrix import vocabulary
from ml.recommender.measures import ndcg, recall, weighted_recall
from ml.recommender.splits import split
from ml.recommender.train import train


def history(name, codes, days=None, born="1980-01-01"):
    days = days or [None] * len(codes)
    return History(
        name, "female", born, tuple(Item("condition", "urn:s", c, None, d) for c, d in zip(codes, days, strict=True))
    )


def rule_bound(count=60):
    """Patients of two sorts: everybody has u; those with a have b, c, d and e, the others v, w, x and y."""
    return [history(str(n), ["u", *("abcde" if n % 2 else "vwxyz")]) for n in range(count)]


def test_recall_is_the_share_found():
    assert recall([3, 1, 2], {1, 9}) == 0.5


def test_ndcg_discounts_by_place_against_the_best_possible():
    assert ndcg([7, 1, 8], {1, 9}, 10) == pytest.approx((1 / log2(3)) / (1 + 1 / log2(3)))
    assert ndcg([1, 9], {1, 9}, 10) == 1


def test_ndcg_does_not_forgive_a_short_list():
    assert ndcg([1], {1, 9}, 10) == pytest.approx(1 / (1 + 1 / log2(3)))


def test_weighted_recall_counts_a_rare_item_for_more():
    assert weighted_recall([0], {0, 1}, np.array([10.0, 2.0])) == pytest.approx(0.1 / 0.6)


@pytest.mark.parametrize("measure", [lambda: recall([1], ()), lambda: ndcg([1], (), 10)])
def test_nothing_hidden_cannot_be_measured(measure):
    with pytest.raises(RecommenderError, match="Nothing is hidden"):
        measure()


@pytest.mark.parametrize("by_time", [False, True])
def test_a_split_hides_a_share_and_shows_the_rest(by_time):
    people = for_learning(rule_bound())
    entries = vocabulary(people, 1)
    cases = split(people, entries, by_time=by_time, share=0.4, rng=np.random.default_rng(1))

    for case in cases:
        assert len(case.hidden) == 2
        assert sorted(case.shown.items + case.hidden) == list(case.whole.items)


def test_by_time_the_latest_are_hidden_and_the_age_is_that_of_the_last_shown():
    days = ["2001-01-01", "2020-01-01", "2002-01-01", None, "2019-01-01", "2003-06-01"]
    people = for_learning([history("1", "abcdef", days), history("2", "abcdef")])
    entries = vocabulary(people, 1)
    dated = next(n for n, person in enumerate(people) if person.last_date)
    case = split(people, entries, by_time=True, share=1 / 3, rng=np.random.default_rng(1))[dated]

    assert [entries[i].code for i in case.hidden] == ["b", "e"]
    assert (case.shown.age, case.whole.age) == (23, 40)


def test_patients_with_few_items_are_shown_whole():
    people = for_learning([history("1", "abcd"), history("2", "abcde")])
    cases = split(people, vocabulary(people, 1), by_time=False, share=0.2, rng=np.random.default_rng(1))

    assert sorted(len(case.hidden) for case in cases) == [0, 1]


def test_different_seeds_hide_different_items_and_the_same_seed_the_same():
    people = for_learning(rule_bound())
    entries = vocabulary(people, 1)
    first, again, other = (
        split(people, entries, by_time=False, share=0.4, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def figures(report):
    return {(f["hidden"], f["patients"], f["algorithm"]): f for f in report["figures"]}


def test_what_follows_a_rule_is_found_by_items_and_not_by_popularity():
    found = figures(evaluate.run(rule_bound(), repeats=2, min_patients=1))

    # 11 items, 5 shown, 6 left: ten places hold them all, so only the order tells algorithms apart
    for patients in ("known", "new"):
        for algorithm in ("user-user", "item-item", "ease", "hybrid"):
            assert found["random", patients, algorithm]["ndcg"] == 1
        assert found["random", patients, "popularity"]["ndcg"] < 0.9


def test_nothing_is_learnt_from_the_patients_called_new():
    people = [history(str(n), [f"{n}.{part}" for part in range(6)]) for n in range(20)]  # nobody shares an item
    found = figures(evaluate.run(people, repeats=2, min_patients=1))

    for algorithm in ("user-user", "item-item", "ease"):
        assert found["random", "new", algorithm]["recall"] == 0


def test_the_report_counts_and_repeats_exactly_whatever_the_order():
    people = rule_bound()
    report = evaluate.run(iter(people), repeats=2, min_patients=1)
    renamed = [
        History(f"x{person.patient}", person.sex, person.birth_date, person.items) for person in reversed(people)
    ]

    assert (report["patients"], report["measured"], report["items"]) == (60, 60, 11)
    assert len(report["figures"]) == 5 * 6
    assert evaluate.run(renamed, repeats=2, min_patients=1) == report
    assert evaluate.run(people, repeats=2, min_patients=1, seed=1) != report


def test_leaving_algorithms_out_does_not_change_the_others():
    whole, part = (
        figures(evaluate.run(rule_bound(), repeats=2, min_patients=1, **chosen))
        for chosen in ({}, {"algorithms": ("hybrid",)})
    )

    assert part == {key: figure for key, figure in whole.items() if key[2] == "hybrid"}


def test_a_finished_model_is_measured_on_others_with_its_unknown_items_told():
    model = train(rule_bound(), min_patients=1)
    strangers = [history(f"s{n}", ["u", *("abcde" if n % 2 else "vwxyz"), "never"]) for n in range(10)]

    report = evaluate.of_model(model, strangers, repeats=2)

    assert report["unknown_items"] == pytest.approx(1 / 7, abs=1e-4)
    assert (report["version"], report["refitted"]) == (model.version, False)
    assert figures(report)["random", "new", "hybrid"]["ndcg"] == 1
    assert figures(report)["random", "new", "popularity"]["ndcg"] < 0.9


def test_on_the_patients_it_has_learnt_from_a_model_is_fitted_anew():
    people = rule_bound()
    model = train(people, min_patients=1, l2=5)

    report = evaluate.of_model(model, reversed(people), repeats=2)

    assert report == {
        "version": model.version,
        "unknown_items": 0.0,
        "refitted": True,
        **evaluate.run(people, repeats=2, min_patients=1, l2=5),
    }


def test_the_table_has_a_line_per_figure_with_mean_and_deviation():
    report = evaluate.run(rule_bound(), repeats=2, min_patients=1)
    lines = evaluate.table(report).splitlines()

    assert len(lines) == 2 + len(report["figures"])
    assert "| random | known | hybrid | 1.000 ± 0.000 | 1.000 ± 0.000 | 1.000 ± 0.000 |" in lines


@pytest.mark.parametrize("people", [[], [history("1", "abc"), history("2", "abc")]])
def test_too_few_items_to_measure_is_an_error(people):
    with pytest.raises(RecommenderError, match="nothing can be measured"):
        evaluate.run(people, min_patients=1)
    with pytest.raises(RecommenderError, match="nothing can be measured"):
        evaluate.of_model(train(rule_bound()), people)


@pytest.mark.parametrize("change", [{"repeats": 0}, {"share": 0}, {"share": 1}])
def test_a_split_without_meaning_is_refused(change):
    with pytest.raises(RecommenderError, match="share to hide"):
        evaluate.run(rule_bound(), **change)
