"""GET /metrics, for Prometheus: counts and durations, nothing of any record. Needs the scope admin.

Several web processes are added up where PROMETHEUS_MULTIPROC_DIR names a directory (the library's own variable, which
must be set before it is loaded); without it each process answers for itself.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from hie.app import Application
from hie.web import exchange

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
#: So often the files of all processes are read when one is not as it was a moment ago.
_LOOKS = 3
_registry = CollectorRegistry()
_requests = Counter("hie_requests", "Requests answered.", ("interaction", "status"), registry=_registry)
_seconds = Histogram(
    "hie_request_seconds", "Time from the first line of a request to its answer.", ("interaction",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60), registry=_registry,
)  # fmt: skip
if _DIRECTORY not in os.environ:
    ProcessCollector(registry=_registry)
    PlatformCollector(registry=_registry)


def count(interaction: str, status: int, seconds: float) -> None:
    """Count one answered request; the names of operations come from clients, so they are counted as one."""
    if interaction[:1] == "$":
        interaction = "operation"
    requests, durations = _children(interaction, status)
    requests.inc()
    durations.observe(seconds)


@lru_cache(maxsize=1024)
def _children(interaction: str, status: int) -> tuple[Counter, Histogram]:
    return _requests.labels(interaction, status), _seconds.labels(interaction)


def make(application: Application) -> Blueprint:
    """Make the blueprint of /metrics."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        exchange.current().authenticate_admin()
        return Response(_figures(), content_type=CONTENT_TYPE_LATEST)

    return blueprint


def _figures() -> bytes:
    directory = os.environ.get(_DIRECTORY)
    if directory is None:
        return generate_latest(_registry)
    together = CollectorRegistry()
    MultiProcessCollector(together, path=directory)
    for _ in range(_LOOKS):
        # While it is read, a file may get the name of another process, or be there and still be empty.
        with suppress(FileNotFoundError, struct.error):
            return generate_latest(together)
    return generate_latest(together)


def pass_on(ended: int, following: int) -> None:
    """Let a web process count on in the files of the one that it follows, told by their ids.

    Else they would pile up, two for each death; and figures that fell would be taken for a new start.
    """
    directory = os.environ.get(_DIRECTORY)
    if directory is None:
        return
    for file in Path(directory).glob(f"*_{ended}.db"):
        new = file.with_name(file.name.replace(f"_{ended}.db", f"_{following}.db"))
        with suppress(FileNotFoundError):
            if not new.exists():
                file.rename(new)
