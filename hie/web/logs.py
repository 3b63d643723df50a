"""The log: one JSON object a line on standard error, without patients' data.

Only the keys below are written: a record's message is a constant of the code, never made of what a client sent.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

_KEYS = ("request_id", "client", "interaction", "type", "status", "ms", "vid", "tenant", "job", "kind", "model",
         "worker", "attempt", "count")
_HANDLER = "hie-json"


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"at": moment, "level": record.levelname, "logger": record.name,
                                "message": record.getMessage()}
        values = record.__dict__
        for key in _KEYS:
            value = values.get(key)
            if value is not None:
                line[key] = value
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class _Stderr(logging.StreamHandler[Any]):
    """Writes to whatever standard error is at that moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


def configure(level: str) -> None:
    """Send the log of this package to standard error, once in a process."""
    logger = logging.getLogger("hie")
    logger.setLevel(level)
    if not any(handler.name == _HANDLER for handler in logger.handlers):
        handler = _Stderr()
        handler.set_name(_HANDLER)
        handler.setFormatter(JsonLines())
        logger.addHandler(handler)
