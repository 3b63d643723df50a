"""Work that grows with the square of what is asked, or with how often a fragment is named, is not done."""

import pytest

from hie.operations.graphql.answer import Cell, lift
from hie.operations.graphql.document import Field, On, read
from hie.operations.graphql.nodes import below, resource_node, target
from tests.growth import growth


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


@pytest.mark.parametrize("of_bundle", [False, True])
def test_what_stands_inside_is_found_at_once_however_much_there_is(of_bundle):
    """Each of many references went through all that is contained: 1,000,000,000 steps for 4 MB."""

    def prepared(size):
        held = [{"resourceType": "Basic", "id": f"c{number}", "code": {"text": "x"}} for number in range(size)]
        entry = [{"item": {"reference": f"#c{number}"}} for number in range(size)]
        list_ = {"resourceType": "List", "id": "l", "status": "current", "mode": "working", "contained": held,
                 "entry": entry}  # fmt: skip
        node = resource_node(list_)
        if of_bundle:
            rows = [{"resource": list_}, *({"resource": one} for one in held)]
            entry[:] = [{"item": {"reference": f"Basic/c{number}"}} for number in range(size)]
            whole = resource_node({"resourceType": "Bundle", "type": "collection", "entry": rows})
            node = below(below(whole, "entry", rows[0], "Bundle.entry", ()), "resource", list_, "Resource", ())
        items = [below(node, "item", one["item"], "Reference", ()) for one in entry]
        return lambda: [target(one, None).value["id"] for one in items]

    assert prepared(3)() == ["c0", "c1", "c2"]
    assert growth(prepared, 100) < 6
