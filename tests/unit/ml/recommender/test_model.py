"""The recommender as it serves."""

import threading
from datetime import date
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.recommender import History, Item, Model, PatientDeceased, RecommenderError, algorithms
from ml.recommender.history import KINDS
from ml.recommender.train import train

NOW = date(2026, 1, 1)
SNOMED = "http://snomed.info/sct"


def item(code, kind="condition", day=None, display=None):
    return Item(kind, SNOMED, code, display, day, (f"Condition/{code}",))


def patient(name, *codes, sex=None, born=None):
    return History(name, sex, born, tuple(code if isinstance(code, Item) else item(code) for code in codes))


PEOPLE = [
    patient("1", "a", "b", item("m", "medication"), sex="female", born="1980"),
    patient("2", "a", "b", item("m", "medication"), sex="female", born="1981"),
    patient("3", "a", "c", sex="male", born="1950"),
    patient("4", "b", "c", "d", sex="male", born="1955"),
    patient("5", "a", "d", item("m", "medication")),
]

people = st.lists(
    st.builds(
        lambda codes, sex, born: (codes, sex, born),
        st.sets(st.tuples(st.sampled_from(KINDS), st.sampled_from("abcdefgh")), min_size=1, max_size=8),
        st.sampled_from([None, "female", "male", "other"]),
        st.sampled_from([None, "1940", "1975-05", "2010-10-10"]),
    ),
    min_size=6,
    max_size=20,
).map(
    lambda drawn: [
        patient(str(n), *(item(code, kind, "2015-01-01") for kind, code in sorted(codes)), sex=sex, born=born)
        for n, (codes, sex, born) in enumerate(drawn)
    ]
)


def trained(histories, algorithm):
    try:
        return train(histories, algorithm=algorithm, l2=2.0, min_patients=1)
    except RecommenderError:
        return None  # fewer than two items drawn


@settings(max_examples=30, deadline=None)
@given(people, st.sampled_from(algorithms.ALGORITHMS))
def test_every_score_is_exactly_the_sum_of_its_contributions(histories, algorithm):
    model = trained(histories, algorithm)
    for history in histories if model else []:
        for given_item in model.recommend(history, kind=None, count=50, now=NOW):
            weights = [weight for _, weight in (*given_item.contributions, *given_item.content)]
            assert Fraction(given_item.score) == sum(map(Fraction, weights))
            assert {each.key for each, _ in given_item.contributions} <= {each.key for each in history.items}
            assert all(each in history.items for each, _ in given_item.contributions)
            assert all(weights)
            strengths = [abs(weight) for _, weight in given_item.contributions]
            assert strengths == sorted(strengths, reverse=True)


@settings(max_examples=30, deadline=None)
@given(people, st.sampled_from(algorithms.ALGORITHMS))
def test_what_the_patient_has_is_never_recommended_under_any_kind(histories, algorithm):
    model = trained(histories, algorithm)
    for history in histories if model else []:
        had = {(each.system, each.code) for each in history.items}
        assert not any((r.system, r.code) in had for r in model.recommend(history, kind=None, count=50, now=NOW))


@settings(max_examples=30, deadline=None)
@given(people, st.sampled_from(algorithms.ALGORITHMS), st.randoms(use_true_random=False))
def test_neither_order_nor_names_of_patients_change_the_model(histories, algorithm, random):
    model = trained(histories, algorithm)
    if model is None:
        return
    shuffled = [
        History(f"x{n}", h.sex, h.birth_date, h.items) for n, h in enumerate(random.sample(histories, len(histories)))
    ]
    again = trained(shuffled, algorithm)

    assert again.entries == model.entries
    if algorithm != "user-user":
        assert again.manifest == model.manifest
    for history in histories:
        assert again.recommend(history, kind=None, count=50, now=NOW) == model.recommend(
            history, kind=None, count=50, now=NOW
        )


def test_items_common_to_like_patients_come_first_with_the_items_that_carried_them():
    best = train(PEOPLE, min_patients=2, l2=1.0).recommend(patient("new", "a", "b"), kind=None, count=1, now=NOW)[0]

    assert (best.kind, best.code, best.rank, best.basis) == ("medication", "m", 1, "history")
    assert best.contributions[0][0] == item("a")
    assert best.contributions[0][1] >= best.contributions[1][1] > 0


def test_recommendations_are_in_falling_order_with_ranks_and_ties_by_kind_and_code():
    people = [patient(str(n), "z", "y", item("b", "procedure"), item("q", "immunization")) for n in range(4)]
    given_items = train(people, algorithm="popularity").recommend(patient("new"), kind=None, count=10, now=NOW)

    assert [(r.rank, r.kind, r.code) for r in given_items] == [
        (1, "condition", "y"),
        (2, "condition", "z"),
        (3, "immunization", "q"),
        (4, "procedure", "b"),
    ]
    assert {r.score for r in given_items} == {1.0}


def test_only_the_kind_asked_for_is_recommended_and_no_more_than_asked_for():
    model = train(PEOPLE, min_patients=1)

    assert {r.kind for r in model.recommend(patient("new", "b"), kind="medication", count=5, now=NOW)} == {"medication"}
    assert len(model.recommend(patient("new", "b"), kind="condition", count=2, now=NOW)) == 2


def test_an_item_has_one_rank_whichever_kind_is_asked_for():
    model = train(PEOPLE, min_patients=1)
    asked = patient("new", "b")
    whole = {(r.kind, r.code): r for r in model.recommend(asked, kind=None, count=50, now=NOW)}

    for kind in KINDS:
        found = model.recommend(asked, kind=kind, count=50, now=NOW)
        assert found == [r for r in whole.values() if r.kind == kind]


def test_a_new_patient_gets_what_patients_of_the_same_sex_and_age_have():
    model = train(
        [*PEOPLE, *(patient(f"w{n}", item("pill", "medication", "2015"), sex="female", born="1990") for n in range(3))]
    )

    best = model.recommend(patient("new", sex="female", born="2002"), kind="medication", count=1, now=NOW)[0]

    assert (best.code, best.basis, best.contributions) == ("pill", "content", ())
    assert best.content == (("patients of sex female, age 20-29", best.score),)


def test_a_patient_of_whom_nothing_is_known_gets_popularity_and_it_says_so():
    best = train(PEOPLE, min_patients=1).recommend(patient("new"), kind=None, count=1, now=NOW)[0]

    assert (best.code, best.basis, best.score) == ("a", "popularity", pytest.approx(4 / 5, abs=1e-6))
    assert best.content == (("popularity", best.score),)


def test_the_age_is_that_of_the_day_asked():
    model = train(PEOPLE, min_patients=1)
    born_1980 = patient("n", born="1980-06-01")
    days = (date(1985, 1, 1), date(2020, 5, 31), date(2020, 6, 1))
    bare = [model.recommend(born_1980, kind=None, count=1, now=day)[0].content[0][0] for day in days]

    assert bare == ["patients of age 0-9", "patients of age 30-39", "patients of age 40-49"]


def test_items_that_the_model_has_never_learnt_are_named_as_ignored():
    model, history = train(PEOPLE, min_patients=2), patient("new", "a", "unheard of")

    assert model.ignored(history) == (item("unheard of"),)
    assert all(
        item("unheard of") not in dict(r.contributions) for r in model.recommend(history, kind=None, count=9, now=NOW)
    )


def test_only_unheard_of_items_leave_sex_and_age():
    history = patient("new", "unheard of", sex="male", born="1950")

    assert train(PEOPLE, min_patients=2).recommend(history, kind=None, count=1, now=NOW)[0].basis == "content"


def test_items_of_too_few_patients_are_not_learnt_and_displays_of_too_few_not_kept():
    people = [
        patient(str(n), item("a", display="Cough of Mrs Smith" if n == 0 else "Cough"), "b", *(["c"] if n < 2 else []))
        for n in range(4)
    ]
    entries = train(people, min_patients=3).entries

    assert [(e.code, e.display, e.patients) for e in entries] == [("a", "Cough", 4), ("b", None, 4)]


def test_of_several_displays_that_nobody_shares_none_is_kept():
    people = [patient(str(n), item("a", display=f"Cough of patient {n}"), "b") for n in range(4)]

    assert [entry.display for entry in train(people, min_patients=3).entries] == [None, None]


def test_two_histories_of_one_patient_count_once():
    people = [patient("same", "a", "b") for _ in range(3)] + [patient("other", "a", "b"), patient("third", "b")]

    assert [(e.code, e.patients) for e in train(people, min_patients=2).entries] == [("a", 2), ("b", 3)]


def test_nothing_is_recommended_for_the_deceased():
    with pytest.raises(PatientDeceased):
        train(PEOPLE, min_patients=1).recommend(History("x", deceased=True), kind=None, count=1, now=NOW)


@pytest.mark.parametrize("count", [0, -1, 1001, 2.5, True, "3"])
def test_a_count_outside_its_range_is_refused(count):
    with pytest.raises(RecommenderError, match="from 1 to 1000"):
        train(PEOPLE, min_patients=1).recommend(patient("x"), kind=None, count=count, now=NOW)


def test_an_unknown_kind_is_refused():
    with pytest.raises(RecommenderError, match="condition, immunization, medication, procedure"):
        train(PEOPLE, min_patients=1).recommend(patient("x"), kind="allergy", count=1, now=NOW)


@pytest.mark.parametrize("change", [{"algorithm": "magic"}, {"l2": 0}, {"l2": float("nan")}, {"min_patients": 0}])
def test_parameters_without_meaning_are_refused(change):
    with pytest.raises(RecommenderError):
        train(PEOPLE, **{"min_patients": 1, **change})


@pytest.mark.parametrize(
    "histories", [[], PEOPLE[:1], [patient("1", "a"), patient("2", "a")], [patient("1"), patient("2")]]
)
def test_too_few_patients_or_items_are_refused(histories):
    with pytest.raises(RecommenderError, match="too few to learn from"):
        train(histories, min_patients=1)


def test_an_item_of_an_unknown_kind_is_refused():
    with pytest.raises(RecommenderError, match="kind is one of"):
        train([patient("1", item("a", "allergy")), patient("2", "b")], min_patients=1)


def test_many_threads_get_the_answers_of_one():
    model = train(PEOPLE, min_patients=1)
    asked = [patient("n", *codes, sex="male", born="1970") for codes in ("a", "ab", "bc", "d", "")] * 20
    expected = [model.recommend(each, kind=None, count=5, now=NOW) for each in asked]
    answers = {}

    def ask(number):
        answers[number] = [model.recommend(each, kind=None, count=5, now=NOW) for each in asked]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [answers[number] for number in range(4)] == [expected] * 4


def test_weights_cannot_be_changed_after_training():
    model = train(PEOPLE, min_patients=1)

    with pytest.raises(ValueError, match="read-only"):
        model.ranker.scorer.weights[0, 0] = 1


def test_the_version_changes_with_anything_that_is_learnt():
    versions = {
        train(PEOPLE, min_patients=1).version,
        train(PEOPLE, min_patients=2).version,
        train(PEOPLE, min_patients=1, l2=30).version,
        train(PEOPLE, min_patients=1, algorithm="ease").version,
        train([*PEOPLE, patient("6", "a")], min_patients=1).version,
    }

    assert len(versions) == 5
    assert all(len(version) == 16 and int(version, 16) for version in versions)


def test_scores_do_not_depend_on_the_order_of_the_history():
    model = train(PEOPLE, min_patients=1)
    forward, backward = patient("x", "a", "b", "c"), patient("x", "c", "b", "a")

    assert model.recommend(forward, kind=None, count=9, now=NOW) == model.recommend(
        backward, kind=None, count=9, now=NOW
    )


def test_models_are_made_of_finite_numbers():
    assert isinstance(train(PEOPLE, min_patients=1), Model)
    assert np.isfinite(train(PEOPLE, min_patients=1).ranker.scorer.weights).all()
