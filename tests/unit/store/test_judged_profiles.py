"""Stored definitions that are ready to judge by take room as they are long, whatever they consist of."""

from __future__ import annotations

import pytest

from hie.fhir.snapshots import Allowance
from hie.fhir.terminology.source import Known
from hie.store import judged_profiles
from hie.store.judged_profiles import Judged
from tests.packages import Json, element, profile


def long(name: str) -> Json:
    rule = {"key": "k-1", "severity": "error", "human": "x" * 1_000_000, "expression": "true"}
    return profile(name, "Patient", element("Patient.name", constraint=[rule]))


def test_the_least_used_of_long_definitions_goes_first() -> None:
    judged, names = Judged(), [str(number) for number in range(20)]
    for name in names:
        found = judged.of(Known(long(name), name), lambda canonical: (None, lambda: None), Allowance())
        assert not isinstance(found, str), found
    assert list(judged._kept) == names[-len(judged._kept):]
    assert 10 < len(judged._kept) < 17
    assert judged._size <= judged_profiles._MOST_BYTES


def test_one_that_is_longer_than_all_may_be_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged_profiles, "_MOST_BYTES", 1_000)
    judged = Judged()
    for name in ("a", "b"):
        judged.of(Known(long(name), name), lambda canonical: (None, lambda: None), Allowance())
        assert list(judged._kept) == [name]
