"""Each algorithm on matrices small enough to work out by hand."""

from math import sqrt

import numpy as np
import pytest

from ml.recommender import RecommenderError, algorithms, columns, ranking
from ml.recommender.algorithms import content, ease, item_item
from ml.recommender.algorithms.grain import rounded
from ml.recommender.algorithms.user_user import UserUser
from ml.recommender.matrix import Matrix, Row

GRAIN = 2.0**-20


def matrix(*rows, items):
    return Matrix([row if isinstance(row, Row) else Row(tuple(row), None, None) for row in rows], items)


def test_gram_counts_patients_who_have_two_items_and_traits():
    gram = matrix(Row((0, 1), "female", 44), Row((0,), "female", 81), Row((1,), None, None), items=2).gram

    female, forties = 2 + columns.TRAITS.index("sex female"), 2 + columns.TRAITS.index("age 40-49")
    assert gram[0, 0] == 2
    assert gram[0, 1] == 1
    assert gram[0, female] == 2
    assert gram[1, forties] == 1
    assert gram[female, female] == 2
    assert (gram == gram.T).all()


def test_gram_is_the_same_when_patients_are_taken_in_several_chunks(monkeypatch):
    rows = [(0, 1), (1, 2), (0, 2), (2,), (0,)]
    whole = matrix(*rows, items=3).gram
    monkeypatch.setattr("ml.recommender.matrix.CHUNK", 2)

    assert (matrix(*rows, items=3).gram == whole).all()


def test_item_item_weights_are_cosines_of_patient_sets_without_a_diagonal():
    # a is had by 3 patients, b and c by 2 each; a and b, a and c together by 2, b and c by 1
    weights = item_item.weights(matrix((0, 1), (0, 1, 2), (0, 2), items=3), 1.0)

    assert weights == pytest.approx(
        np.array([[0, 2 / sqrt(6), 2 / sqrt(6)], [2 / sqrt(6), 0, 1 / 2], [2 / sqrt(6), 1 / 2, 0]])
    )


def test_an_item_that_nobody_shown_has_is_like_no_other():
    assert item_item.weights(matrix((0,), (0, 1), items=3), 1.0)[2].tolist() == [0, 0, 0]


def test_ease_of_two_items_is_the_closed_form():
    # G + l2 I = [[3, 1], [1, 3]]; its inverse is [[3, -1], [-1, 3]] / 8; so each explains the other by 1/3
    weights = ease.weights(matrix((0,), (1,), (0, 1), items=2), 1.0)

    assert weights == pytest.approx(np.array([[0, 1 / 3], [1 / 3, 0]]))


def test_ease_with_traits_explains_items_by_sex_but_not_sex_by_items():
    # one item, had by both women and by no man: of the 2x2 system (item, female) = [[2, 2], [2, 2]] + 1
    weights = ease.weights_with_traits(matrix(Row((0,), "female", None), Row((0,), "female", None), items=1), 1.0)

    assert weights.shape == (1 + len(columns.TRAITS), 1)
    assert weights[0, 0] == 0
    assert weights[1 + columns.TRAITS.index("sex female"), 0] == pytest.approx(2 / 3)
    assert weights[1 + columns.TRAITS.index("sex male"), 0] == 0


def test_user_user_votes_by_similarity_of_the_nearest():
    # the patient has a; {a, b} is alike by 1/sqrt(2), {a, c, d} by 1/sqrt(3), {e} not at all
    contributions = UserUser(matrix((0, 1), (0, 2, 3), (4,), items=5)).contributions(np.array([0]))

    first, second = 1 / sqrt(2), 1 / sqrt(3)
    assert contributions.sum(axis=0) == pytest.approx(
        [1, first / (first + second), second / (first + second), second / (first + second), 0], abs=GRAIN
    )


def test_user_user_hears_no_more_neighbours_than_it_is_told():
    contributions = UserUser(matrix((0, 1), (0, 2, 3), items=4), neighbours=1).contributions(np.array([0]))

    assert contributions.sum(axis=0).tolist() == [1, 1, 0, 0]


def test_user_user_splits_a_vote_among_the_items_shared():
    contributions = UserUser(matrix((0, 1, 2), items=3)).contributions(np.array([0, 1]))

    assert contributions[:, 2].tolist() == [0.5, 0.5]


def test_popularity_is_the_share_of_all_patients():
    assert content.popularity(matrix((0,), (0, 1), (), (), items=2)).tolist() == [0.5, 0.25]


def test_content_is_the_share_of_the_group_drawn_towards_that_of_all():
    women = [Row((0,), "female", 44)] * 3 + [Row((), "female", 44)]
    weights = content.weights(matrix(*women, Row((), "male", 44), items=1), 1)

    def share(name):
        return weights[columns.GROUPS.index(name), 0]

    everybody = 3 / 5
    assert share("sex female, age 40-49") == pytest.approx((3 + 5 * everybody) / (4 + 5))
    assert share("sex male") == pytest.approx((0 + 5 * everybody) / (1 + 5))
    assert share("age 40-49") == pytest.approx((3 + 5 * everybody) / (5 + 5))
    assert share("sex other") == pytest.approx(everybody)


def test_content_does_not_tell_what_fewer_patients_of_a_group_have_than_the_minimum():
    rows = [Row((0,), "male", 85), Row((0,), "female", 20), Row((0,), "female", 20), Row((), "female", 20)]
    weights = content.weights(matrix(*rows, items=1), 2)

    everybody = 3 / 4
    assert weights[columns.GROUPS.index("sex male, age 80+"), 0] == pytest.approx((0 + 5 * everybody) / (1 + 5))
    assert weights[columns.GROUPS.index("sex female, age 20-29"), 0] == pytest.approx((2 + 5 * everybody) / (3 + 5))


@pytest.mark.parametrize(
    ("age", "band"), [(0, "0-9"), (9, "0-9"), (10, "10-19"), (79, "70-79"), (80, "80+"), (119, "80+")]
)
def test_ages_fall_into_decades(age, band):
    assert columns.band(age) == band


@pytest.mark.parametrize(
    ("algorithm", "row", "basis", "names"),
    [
        ("hybrid", Row((1,), "male", 30), "history", ["item 1", "sex male", "age 30-39"]),
        ("hybrid", Row((1,), None, None), "history", ["item 1"]),
        ("hybrid", Row((), "male", 30), "content", ["patients of sex male, age 30-39"]),
        ("hybrid", Row((), "male", None), "content", ["patients of sex male"]),
        ("hybrid", Row((), None, 30), "content", ["patients of age 30-39"]),
        ("hybrid", Row((), None, None), "popularity", ["popularity"]),
        ("ease", Row((0, 1), "male", 30), "history", ["item 0", "item 1"]),
        ("ease", Row((), "male", 30), "popularity", ["popularity"]),
        ("content", Row((1,), "male", 30), "content", ["patients of sex male, age 30-39"]),
        ("popularity", Row((1,), "male", 30), "popularity", ["popularity"]),
        ("user-user", Row((), "male", 30), "popularity", ["popularity"]),
    ],
)
def test_each_algorithm_rests_on_the_most_it_can_read(algorithm, row, basis, names):
    ranker = ranking.fit(algorithm, matrix((0, 1), (1,), items=2), l2=1.0, min_patients=1)

    found, rows = ranker.active(row)

    assert found == basis
    assert [f"item {i}" if i < 2 else columns.COLUMNS[i - 2] for i in rows] == names


@pytest.mark.parametrize("algorithm", algorithms.ALGORITHMS)
def test_without_any_knowledge_every_algorithm_gives_popularity(algorithm):
    ranker = ranking.fit(algorithm, matrix((0, 1), (1,), (1, 2), (1, 2), items=3), l2=1.0, min_patients=1)

    ranked = ranker.rank(Row((), None, None), np.ones(3, bool), 10)

    assert ranked.best.tolist() == [1, 2, 0]
    assert ranked.scores.tolist() == [1, 0.5, 0.25]


def test_equal_scores_keep_the_order_of_items_and_scores_of_zero_are_left_out():
    ranker = ranking.fit("popularity", matrix((2, 1), (1, 2), items=4), l2=1.0, min_patients=1)

    assert ranker.rank(Row((), None, None), np.ones(4, bool), 10).best.tolist() == [1, 2]


def test_many_equal_scores_keep_the_order_of_items():
    ranker = ranking.fit("popularity", matrix(tuple(range(200)), (150,), items=200), l2=1.0, min_patients=1)

    best = ranker.rank(Row((), None, None), np.ones(200, bool), 200).best.tolist()

    assert best == [150, *(item for item in range(200) if item != 150)]


def test_rounded_weights_are_multiples_of_the_grain_and_near_the_given_ones():
    given = np.array([[1 / 3, -2 / 7, 5.0, 1e-9]])
    weights = rounded(given)

    assert (weights.astype(float) / GRAIN == np.round(weights.astype(float) / GRAIN)).all()
    assert np.abs(weights - given).max() <= GRAIN / 2


@pytest.mark.parametrize("value", [np.nan, np.inf, 8.1, -9.0])
def test_weights_beyond_bounds_are_refused(value):
    with pytest.raises(RecommenderError, match="larger l2"):
        rounded(np.array([[0.0, value]]))


def test_a_table_of_user_user_is_refused():
    with pytest.raises(RecommenderError, match="no linear algorithm"):
        algorithms.weights("user-user", matrix((0,), items=1), 1.0, 1)
