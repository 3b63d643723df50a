"""Which units a server has answered, so that a second run sends only what is missing. Holds digests, no records."""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO

SENT, STORED, REFUSED = "sent", "stored", "refused"
_STATES = frozenset({SENT, STORED, REFUSED})


class JournalError(Exception):
    """The journal cannot be written, or another load is using it."""


class Journal:
    """An append-only file of JSON lines; the last line about a digest holds.

    A unit that was `sent` and has no later line was under way when the load ended: it may be stored or not.
    """

    def __init__(self, path: Path, server: str) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._states: dict[str, str] = {}
        try:
            self._file: IO[str] = path.open("a+", encoding="utf-8", errors="replace")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise JournalError(f"Another `hie load` is writing the journal {path}.") from None
        except OSError as error:
            raise JournalError(f"The journal {path} cannot be written ({error.strerror}); name another by --journal.") \
                from error
        self._read()

    def _read(self) -> None:
        self._file.seek(0)
        whole = True
        for line in self._file:
            whole = line.endswith("\n")
            try:
                entry = json.loads(line)
                if entry["server"] == self._server and entry["state"] in _STATES:
                    self._states[entry["digest"]] = entry["state"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # cut off when an earlier load was killed, or spoiled by somebody
        if not whole:
            self._file.write("\n")

    def state(self, digest: str) -> str | None:
        """The state of a unit; None: never sent to this server."""
        return self._states.get(digest)

    def write(self, digests: Iterable[str], state: str) -> None:
        """Note one state for several units; it is in the file when this returns."""
        with self._lock:
            for digest in digests:
                self._states[digest] = state
                self._file.write(json.dumps({"server": self._server, "digest": digest, "state": state}) + "\n")
            self._file.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
