"""The versions of a poll, which come newest first and are sent oldest first: sealed and on disk meanwhile."""

from __future__ import annotations

from array import array
from types import TracebackType

import numpy as np

from hie.commands.following.versions import Version
from hie.store.sealed_file import SealedFile


class Gathered:
    """Versions in whatever order they were added, newest first where their times are the same."""

    def __init__(self) -> None:
        self._pieces = SealedFile()
        self._times = array("q")
        self._order: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._times)

    def add(self, version: Version, at: int) -> None:
        """Keep a version; `at`: about when it came to be, where it does not say so."""
        self._pieces.add(version.dump())
        self._times.append(version.at if version.at is not None else at)

    def settle(self) -> None:
        """Put them in order: by their times, the last added first."""
        times = np.array(self._times, dtype=np.int64)[::-1]
        self._order = len(times) - 1 - np.argsort(times, kind="stable")

    def read(self, rank: int) -> Version:
        """Return one by its place in the order."""
        return Version.load(self._pieces.read(self._number(rank)))

    def time(self, rank: int) -> int:
        """Return when the version at a place came to be."""
        return self._times[self._number(rank)]

    @property
    def newest(self) -> int:
        """When the last of them came to be; 0 where there is none."""
        return self.time(len(self) - 1) if len(self) else 0

    def close(self) -> None:
        self._pieces.close()

    def _number(self, rank: int) -> int:
        assert self._order is not None, "settle comes first"  # noqa: S101
        return int(self._order[rank])

    def __enter__(self) -> Gathered:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
