"""How many rows are remembered, and how long (hie.store.recent)."""

from __future__ import annotations

import pytest

from hie.store import recent
from hie.store.recent import Recent
from hie.store.rows import Current


def test_only_so_many_are_remembered_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Recent()

    def row(id_: str, sealed: bytes = b"x") -> Current:
        return Current(1, "Patient", id_, 1, 0, 0, 1, sealed)

    for number in range(3 * recent.MOST):
        kept.keep(row(str(number)))
    known = [number for number in range(3 * recent.MOST) if kept.take("Patient", str(number)) is not None]
    assert recent.MOST // 2 <= len(known) <= recent.MOST
    assert known[-1] == 3 * recent.MOST - 1
    kept.keep(row("large", b"x" * (recent.LONGEST + 1)))
    assert kept.take("Patient", "large") is None
    kept.keep(row("a"))
    kept.forget([("Patient", "a")])
    assert kept.take("Patient", "a") is None
    kept.keep(row("b"))
    monkeypatch.setattr(recent, "SECONDS", -1.0)
    assert kept.take("Patient", "b") is None
