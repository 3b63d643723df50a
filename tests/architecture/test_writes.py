"""Whatever writes a resource asks the same question before: hie.interactions.accepting, R4 and declared profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITERS = [
    path
    for folder in ("interactions", "operations", "jobs", "web")
    for path in sorted((ROOT / "hie" / folder).rglob("*.py"))
    if any(call in path.read_text(encoding="utf-8") for call in ("store.create(", "store.update("))
]


def test_there_are_writers_to_look_at() -> None:
    assert len(WRITERS) >= 4


@pytest.mark.parametrize("path", WRITERS, ids=lambda path: path.stem)
def test_what_writes_a_resource_asks_whether_it_is_accepted(path: Path) -> None:
    assert " accepted(" in path.read_text(encoding="utf-8")
