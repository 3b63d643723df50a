"""The log tells what happened and where, and nothing of a record."""

from __future__ import annotations

import logging
import sqlite3
import sys

import orjson
from sqlalchemy.exc import OperationalError

from hie.web.logs import JsonLines


def _line(error: Exception) -> str:
    """Log an error that was raised while another one was handled."""
    try:
        try:
            raise error
        except Exception as cause:
            raise KeyError("Wilhelmina of Elm Street") from cause
    except KeyError:
        record = logging.LogRecord("hie.web", logging.ERROR, __file__, 1, "unexpected failure", (), sys.exc_info())
    return JsonLines().format(record)


def test_a_logged_exception_tells_its_place_and_class_but_quotes_no_record() -> None:
    quoting = OperationalError("INSERT INTO x VALUES (?)", ("Wilhelmina", "1931-02-03"), ValueError("Wilhelmina"))
    line = _line(quoting)
    told = orjson.loads(line)["traceback"]
    assert "Wilhelmina" not in line.replace('raise KeyError(\\"Wilhelmina of Elm Street\\")', "")
    assert "1931-02-03" not in line
    assert told.index("sqlalchemy.exc.OperationalError") < told.index("builtins.KeyError")
    assert told.count('test_logs.py", line') == 2


def test_codes_of_the_database_and_the_operating_system_stay_in_the_log() -> None:
    busy = sqlite3.OperationalError("Wilhelmina")
    busy.sqlite_errorname = "SQLITE_BUSY"
    assert "sqlite3.OperationalError (SQLITE_BUSY)\n" in orjson.loads(_line(busy))["traceback"]
    full = OSError(28, "No space left on device", "/data/Wilhelmina")
    assert "builtins.OSError (No space left on device)\n" in orjson.loads(_line(full))["traceback"]
