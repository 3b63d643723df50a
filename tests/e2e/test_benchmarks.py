"""The benchmarks that docs/performance.md names do what it says, at the smallest size: figures are for other machines.

`compare` and its mixes have tests of their own.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from benchmarks import pairs, scale
from tests.forks import Forks


@pytest.mark.parametrize(("command", "told"), [
    ("scale --sizes 200 400 --repeats 2 --processes 1", "| chain: patient.family and code |"),
    ("search_index --resources 200 --postgres --plans --rounds 2", "Index Scan"),
    ("totals --resources 500", "code:text"),
    ("sorting --observations 60 --patients 7", "patient.family"),
    ("export --resources 300", "listed, all patients"),
    ("terminology --codes 20", "$expand"),
])  # fmt: skip
def test_a_benchmark_measures(command: str, told: str, tmp_path: Path, forks: Forks) -> None:
    done = forks.run(f"benchmarks.{command}".split(), env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-2_000:]
    assert told in done.stdout, done.stdout[-2_000:]


def test_pairs_of_criteria_are_asked() -> None:
    with scale.filled("sqlite", 300, 1) as small:
        found = [pairs.measured(small.store, criteria, lambda: 0.0)
                 for _, criteria in itertools.islice(pairs.asked(small.store), 0, None, 60)]  # fmt: skip
    assert len(found) > 20
