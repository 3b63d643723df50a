"""The log: one JSON object a line on standard error, without patients' data.

Only the keys below are written: a record's message is a constant of the code, never made of what a client sent. Of an
exception the log tells where it was raised and of which class, not its message, which may quote a record: a statement
with its parameters, a value that cannot be read.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson

_KEYS = ("request_id", "client", "interaction", "type", "status", "ms", "vid", "tenant", "job", "kind", "model",
         "worker", "attempt", "count", "reason")
_HANDLER = "hie-json"
#: Attributes of errors of psycopg, sqlite3 and the operating system that hold a code.
_CODES = ("sqlstate", "sqlite_errorname", "strerror")


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
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = "\n".join(_told(record.exc_info[1]))
        return orjson.dumps(line, default=str).decode()


def _told(error: BaseException) -> list[str]:
    """Return where each exception of a chain was raised, and its class, the cause first."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return ["".join([*traceback.format_tb(one.__traceback__), class_of(one)]) for one in reversed(chain)]


def class_of(error: BaseException) -> str:
    """Name the class, and the code that a database or the operating system gave: both say nothing of a record."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    code = next((found for key in _CODES if (found := getattr(error, key, None)) is not None), None)
    return name if code is None else f"{name} ({code})"


class _Stderr(logging.StreamHandler[Any]):
    """Writes to whatever standard error is at that moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


_ANSWERED = logging.getLogger("hie.web")


def answered(
    request_id: str, interaction: str, type_name: str | None, status: int, seconds: float, client: str
) -> None:
    """Write the line of a request; past logging's own machinery, which costs as much as reading the resource does."""
    if not _ANSWERED.isEnabledFor(logging.INFO):
        return
    line: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": "INFO", "logger": "hie.web",
        "message": "answered", "request_id": request_id, "interaction": interaction, "type": type_name,
        "status": status, "ms": round(seconds * 1000, 2), "client": client or None,
    }  # fmt: skip
    sys.stderr.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode())


def configure(level: str) -> None:
    """Send the log of this package to standard error, once in a process."""
    logger = logging.getLogger("hie")
    logger.setLevel(level)
    if not any(handler.name == _HANDLER for handler in logger.handlers):
        handler = _Stderr()
        handler.set_name(_HANDLER)
        handler.setFormatter(JsonLines())
        logger.addHandler(handler)
