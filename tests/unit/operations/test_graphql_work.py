"""Work that grows with the square of what is asked, or with how often a fragment is named, is not done."""

from hie.operations.graphql.answer import Cell, lift
from hie.operations.graphql.document import Field, On, read


def test_what_was_lifted_before_is_not_copied_for_each_row():
    row = {}
    lift(row, {"family": Cell(["a0"])})
    items = row["family"].items
    for number in range(1, 4):
        below = {"family": Cell([f"a{number}"])}
        lift(row, below)
        assert below["family"].items == [f"a{number}"]
    assert row["family"].items is items
    assert items == ["a0", "a1", "a2", "a3"]


def test_the_arguments_of_a_fragment_are_read_once_however_often_it_is_named():
    query = ("mutation { ...F ...F } "
             "fragment F on Mutation { PatientCreate(resource: {name: {family: 1.50}}) { location } }")  # fmt: skip
    one, other = read(query, {}, None).selections
    assert isinstance(one, On)
    assert isinstance(other, On)
    (first,), (second,) = one.selections, other.selections
    assert isinstance(first, Field)
    assert isinstance(second, Field)
    assert first.arguments == {"resource": {"name": {"family": 1.5}}}
    assert first.arguments is second.arguments
