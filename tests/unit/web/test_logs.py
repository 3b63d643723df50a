"""The log tells what happened and where, and nothing of a record."""

from __future__ import annotations

import logging
import sqlite3
import sys

import orjson
import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from hie.web import error_handlers
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


def test_an_outage_is_told_in_a_line_for_each_request_that_it_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands a minute are refused; each had a traceback of 4 kB that told the same."""
    gone = psycopg.errors.AdminShutdown("FATAL: of Wilhelmina")
    reply = error_handlers.unexpected(OperationalError("SELECT 1", {}, gone), "r1")
    (record,) = caplog.records
    line = orjson.loads(JsonLines().format(record))
    assert reply.status == 503
    assert line["reason"] == "psycopg.errors.AdminShutdown (57P01)"
    assert line["request_id"] == "r1"
    assert "traceback" not in line
