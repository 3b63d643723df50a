"""Which of two versions is the later one."""

from __future__ import annotations

import pytest

from hie.fhir.version_order import version_order


@pytest.mark.parametrize(("lower", "higher"), [
    ("", "0"), ("", "v1"), ("9", "10"), ("1.9", "1.10"), ("1.0", "1.0.1"), ("1.0-ballot", "1.0"),
    ("1.0-ballot", "1.0.1"),
    ("1.0-rc.9", "1.0-rc.10"), ("1.0-alpha", "1.0-beta"), ("0.9", "1.0-ballot"), ("v1", "v2"), ("2020", "2020-05"),
    ("2020-05-31", "2020-06-01"), ("007", "8"), ("8" * 5_000, "9" * 5_000), ("9" * 5_000, "1" + "0" * 5_000),
    ("1.²", "1.0"),
])  # fmt: skip
def test_the_later_version_is_higher(lower: str, higher: str) -> None:
    assert version_order(lower) < version_order(higher)


@pytest.mark.parametrize(("one", "other"), [("1.0", "01.0"), ("1.0-ballot", "1.0ballot"), ("1-0", "1.0")])
def test_what_is_written_otherwise_is_the_same(one: str, other: str) -> None:
    assert version_order(one) == version_order(other)
