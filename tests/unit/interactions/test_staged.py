"""How the steps of a transaction are grouped: in their order, what is new together, within bounds."""

import pytest

from hie.fhir.bundle import RequestEntry
from hie.fhir.bundle_stream import Part
from hie.fhir.http import FhirRequest
from hie.interactions import staged
from hie.interactions.steps import Step


def steps(kinds, size=None):
    part = None if size is None else Part(b"", 0, size)
    return [Step(RequestEntry(index, None, None, {}, part), FhirRequest(interaction))
            for index, interaction in enumerate(kinds)]


def grouped(some):
    found = staged.groups(some, lambda step: step.request.interaction == "create")
    return [[step.entry.index for step in group] for group in found]


@pytest.mark.parametrize(("kinds", "expected"), [
    ([], []),
    (["create"] * 3, [[0, 1, 2]]),
    (["create", "operation", "create", "create", "update", "update"], [[0], [1], [2, 3], [4], [5]]),
])
def test_steps_keep_their_order(kinds, expected):
    assert grouped(steps(kinds)) == expected


def test_a_group_has_a_bound():
    assert [len(group) for group in grouped(steps(["create"] * (2 * staged.AT_ONCE + 1)))] == [
        staged.AT_ONCE, staged.AT_ONCE, 1]


def test_large_entries_that_are_read_again_are_few_at_once():
    assert grouped(steps(["create"] * 3, staged.BYTES_AT_ONCE)) == [[0, 1], [2]]
    assert grouped(steps(["create"] * 3, staged.BYTES_AT_ONCE + 1)) == [[0], [1], [2]]
