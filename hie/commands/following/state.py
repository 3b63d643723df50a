"""How far a server was followed, so that the next poll goes on there. Holds times, types and ids; no records."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from hie.fhir.instants import instant, parse_instant


class StateError(Exception):
    """The state file cannot be read or written, or another command is using it."""


@dataclass(slots=True)
class Reached:
    """How far one source was followed into one server. Times are the source's, in microseconds since 1970."""

    until: int | None = None
    """All versions up to then were sent; None: none yet."""
    waiting: dict[str, int] = field(default_factory=dict)
    """Type/id of what is asked for again, since when: the server refused it for what may be there later."""
    settled: dict[str, int] = field(default_factory=dict)
    """Type/id/_history/number and time of what the server did not take and will not; it is not sent again."""


class State:
    """A file of mode 600 with what was reached of each source; replaced as a whole, and locked while it is open."""

    def __init__(self, path: Path, source: str, url: str, types: Sequence[str]) -> None:
        self._path, self._place = path, {"source": source, "url": url, "types": sorted(set(types))}
        self._file = self._locked()
        self._others, self.reached = self._read()

    def write(self) -> None:
        """Write what was reached; it is on disk when this returns."""
        mine = {
            **self._place, "until": None if self.reached.until is None else instant(self.reached.until),
            "waiting": {place: instant(at) for place, at in self.reached.waiting.items()},
            "settled": {key: instant(at) for key, at in self.reached.settled.items()},
        }  # fmt: skip
        new = self._path.with_name(self._path.name + ".new")
        try:
            file = _opened(new)
            fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate()
            file.write(json.dumps({"followed": [*self._others, mine]}, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._file.close()
        self._file = file

    def _locked(self) -> IO[str]:
        """Open the file, and see that it is still the one at its path when the lock is there."""
        while True:
            try:
                file = _opened(self._path)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file.fileno()), self._path.stat()):
                    return file
            except BlockingIOError:
                file.close()
                raise StateError(f"Another `hie follow` is writing {self._path}.") from None
            except OSError as error:
                raise _unwritable(self._path, error) from error
            file.close()

    def _read(self) -> tuple[list[dict[str, Any]], Reached]:
        text = self._file.read()
        if not text.strip():
            return [], Reached()
        try:
            rows = json.loads(text)["followed"]
            mine = [row for row in rows if {name: row[name] for name in self._place} == self._place]
            others = [row for row in rows if row not in mine]
            return others, _reached(mine[0]) if mine else Reached()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._file.close()
            raise StateError(f"{self._path} is no state of `hie follow`; name another file by --state, or remove it to "
                             "follow from the beginning.") from error

    def __enter__(self) -> State:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _reached(row: dict[str, Any]) -> Reached:
    until = None if row["until"] is None else _microseconds(row["until"])
    waiting, settled = ({key: _microseconds(at) for key, at in row[name].items()} for name in ("waiting", "settled"))
    return Reached(until, waiting, settled)


def _microseconds(text: Any) -> int:
    found = parse_instant(text)
    if found is None:
        raise ValueError(f"{text!r} is no instant.")
    return found


def _opened(path: Path) -> IO[str]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")


def _unwritable(path: Path, error: OSError) -> StateError:
    return StateError(f"The state file {path} cannot be written ({error.strerror}); name another by --state.")
