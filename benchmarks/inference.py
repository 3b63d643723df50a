"""How long one chest image takes: `python -m benchmarks.inference [MODEL_DIRECTORY …]`.

Engine alone, whole prediction (checks, preparation, gate, network) of small and of large pictures, and many threads
on one session. Milliseconds; synthetic radiographs; one ONNX Runtime thread.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ml.cnn import MODEL_DIRECTORY, SINGLE_DIRECTORY
from ml.cnn.heatmap import heatmap_png
from ml.cnn.samples import sample_radiographs
from ml.runtime import ModelRuntime

ROUNDS = 300
THREADS = 4


def milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """p50 and p99 of one call."""
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    p50, p99 = np.quantile(taken, (0.5, 0.99)) * 1000
    return float(p50), float(p99)


def measure(directory: Path) -> None:
    """Print the rows of one model."""
    runtime = ModelRuntime(directory)
    started = time.perf_counter()
    runtime.warm_up()
    print(f"{directory.name}: loaded in {(time.perf_counter() - started) * 1000:.0f} ms")
    small = sample_radiographs(seed=1, per_class=1, size=28)[1][1]
    large = sample_radiographs(seed=1, per_class=1, size=1024)[1][1]
    prediction = runtime.predict(small)
    cases: dict[str, Callable[[], object]] = {
        "network and gate": lambda: runtime.judge(small[None]),
        "predict, 28 x 28": lambda: runtime.predict(small),
        "predict, 1024 x 1024": lambda: runtime.predict(large),
        "heat map, 224 x 224 PNG": lambda: heatmap_png(prediction),
    }
    for name, work in cases.items():
        p50, p99 = milliseconds(work)
        print(f"  {name:26} p50 {p50:6.2f}  p99 {p99:6.2f}")
    with ThreadPoolExecutor(THREADS) as pool:
        started = time.perf_counter()
        list(pool.map(runtime.predict, [small] * ROUNDS))
        print(f"  {THREADS} threads                  {ROUNDS / (time.perf_counter() - started):6.0f} images/s")


def main() -> None:
    """Measure the models named on the command line, or the shipped ones."""
    for directory in [Path(name) for name in sys.argv[1:]] or [SINGLE_DIRECTORY, MODEL_DIRECTORY]:
        measure(directory)
    print(f"memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
