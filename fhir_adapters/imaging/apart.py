"""Decode in a process of its own, so that a limit of time and memory holds and a crash of a codec stays there.

The process gets the bytes on standard input, answers one JSON line and the pixels on standard output, and is given
neither the environment nor any file of its parent.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhir_adapters import base
from fhir_adapters.base import AdapterError, Damaged, Occupied, TooCostly
from fhir_adapters.imaging.limits import CPU_SECONDS, MEMORY_BYTES, WALL_SECONDS

_ROOT = str(Path(__file__).parents[2])
_ERROR_CLASSES = (AdapterError, base.WrongFormat, Damaged, base.Unsupported, base.NoImage, TooCostly)
_ERRORS = {cls.__name__: cls for cls in _ERROR_CLASSES}
# As many as there are processors: more would only share their time and multiply the memory.
_seats = threading.BoundedSemaphore(os.cpu_count() or 1)


def decode(data: bytes, content_type: str) -> tuple[NDArray[np.uint8], bool]:
    """Grey pixels, and whether the picture is a coloured one."""
    if not _seats.acquire(timeout=WALL_SECONDS):
        raise Occupied("Too many large images are being decoded at this moment; try again.")
    try:
        answer = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", __name__, content_type],
            input=data,
            capture_output=True,
            timeout=WALL_SECONDS,
            env={"PYTHONPATH": os.pathsep.join([_ROOT, *filter(None, sys.path)]), "OMP_NUM_THREADS": "1"},
            cwd="/",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TooCostly(f"Decoding the image took longer than {WALL_SECONDS:.0f} s.") from None
    finally:
        _seats.release()
    if answer.returncode != 0:
        raise _death(answer.returncode)
    return _unpacked(answer.stdout)


def _death(code: int) -> AdapterError:
    if code in (-24, -9):  # SIGXCPU, or the kernel's end of a process that takes too much
        return TooCostly(f"Decoding the image took more than {CPU_SECONDS} s of a processor.")
    return Damaged(f"The decoder of the image ended with code {code}.")


def _unpacked(answer: bytes) -> tuple[NDArray[np.uint8], bool]:
    line, _, content = answer.partition(b"\n")
    try:
        facts: dict[str, Any] = json.loads(line)
        if "error" in facts:
            raise _ERRORS[facts["error"]](str(facts["diagnostics"]))
        shape = (int(facts["rows"]), int(facts["columns"]))
        return np.frombuffer(content, np.uint8).reshape(shape), bool(facts["colourful"])
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged("The decoder of the image gave no readable answer.") from error


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main() -> None:
    """Read an image from standard input and write its pixels to standard output."""
    _limit()
    from fhir_adapters.imaging import pixels

    try:
        grey, colourful = pixels.decode(sys.stdin.buffer.read(), sys.argv[1])
        facts: dict[str, Any] = {"rows": grey.shape[0], "columns": grey.shape[1], "colourful": colourful}
        content = grey.tobytes()
    except AdapterError as error:
        facts, content = {"error": type(error).__name__, "diagnostics": error.diagnostics}, b""
    except MemoryError:
        facts, content = {"error": "TooCostly", "diagnostics": "Decoding the image takes too much memory."}, b""
    sys.stdout.buffer.write(json.dumps(facts).encode() + b"\n" + content)


if __name__ == "__main__":
    main()
