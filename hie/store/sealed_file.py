"""Records that wait outside the database, in a file without a name, sealed under a key that this process alone has."""

from __future__ import annotations

import tempfile
from array import array
from types import TracebackType

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hie.store.crypto import associated_data, open_, seal


class SealedFile:
    """Pieces by number. However the process ends, its file ends with it, and nobody can read what was in it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="hie-")  # noqa: SIM115 - closed by close
        self._key = AESGCM(AESGCM.generate_key(256))
        self._ends = array("q", [0])
        self._is_at_end = True

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, plain: bytes) -> None:
        """Keep a piece under the next number."""
        sealed = seal(self._key, plain, associated_data("piece", len(self)))
        if not self._is_at_end:
            self._file.seek(self._ends[-1])
            self._is_at_end = True
        self._file.write(sealed)
        self._ends.append(self._ends[-1] + len(sealed))

    def read(self, number: int) -> bytes:
        """Return the piece of this number."""
        start, end = self._ends[number], self._ends[number + 1]
        self._file.seek(start)
        self._is_at_end = False
        return open_(self._key, self._file.read(end - start), associated_data("piece", number))

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def __enter__(self) -> SealedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
