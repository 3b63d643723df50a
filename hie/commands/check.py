"""Check that everything in the store opens, agrees and hangs together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hie.settings import Settings
from hie.store.check import check as examine
from hie.store.store import Store


def check(settings: Settings, announce: Callable[[str], None]) -> Iterator[str]:
    """Say what was looked at, and yield a sentence for each thing that is wrong."""
    store = Store.open_existing(settings)
    try:
        report = examine(store)
    finally:
        store.close()
    for what, number in report.counts.items():
        announce(f"{number} {what}")
    announce("clean" if report.clean else f"{len(report.problems)} problems")
    if not report.clean and not settings.base_url:
        announce("HIE_BASE_URL is not set: if the server has one, indexes of absolute references do not match without")
    yield from report.problems
