"""The job of a run over the index: hie.store.index_work"""

from __future__ import annotations

from typing import Any

from hie.context import Context
from hie.registry import JobKind
from hie.store import index_runs, index_work


def run(payload: dict[str, Any], ctx: Context) -> None:
    """Do the run of `payload["run"]`."""
    store = ctx.store
    index_work.work(store.database, store.keys, int(payload["run"]), store.base_url, ctx.clock)


KIND = JobKind(index_runs.JOB, run)
