"""Claim jobs until told to end."""

from __future__ import annotations

import threading

from hie.app import Application
from hie.commands.supervision import when_input_ends, when_told_to_end
from hie.jobs.worker import Worker
from hie.settings import Settings
from hie.web import logs, memory


def work(settings: Settings, *, supervised: bool = False) -> None:
    """Do jobs until SIGTERM or SIGINT, or, supervised, until standard input ends; the job under way is finished."""
    logs.configure(settings.log_level)
    stop = threading.Event()
    when_told_to_end(stop.set)
    if supervised:
        when_input_ends(stop.set)
    memory.share_arenas()
    application = Application.open(settings)
    try:
        Worker(application).run(stop, memory.give_back)
    finally:
        application.close()
