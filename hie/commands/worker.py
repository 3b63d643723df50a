"""Claim jobs until told to end."""

from __future__ import annotations

import signal
import threading

from hie.app import Application
from hie.commands.supervision import when_input_ends
from hie.jobs.worker import Worker
from hie.settings import Settings
from hie.web import logs, memory


def work(settings: Settings, *, supervised: bool = False) -> None:
    """Do jobs until SIGTERM or SIGINT, or, supervised, until standard input ends; the job under way is finished."""
    logs.configure(settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if supervised:
        when_input_ends(stop.set)
    memory.share_arenas()
    application = Application.open(settings)
    try:
        Worker(application).run(stop, memory.give_back)
    finally:
        application.close()
