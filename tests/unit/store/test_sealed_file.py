"""Pieces in a file that nobody else can read."""

from __future__ import annotations

import os
import random

import pytest

from hie.store.crypto import SealBroken
from hie.store.sealed_file import SealedFile


def test_pieces_are_read_in_any_order_and_while_others_are_added():
    chance = random.Random(1)
    pieces: list[bytes] = []
    with SealedFile() as file:
        for _ in range(300):
            pieces.append(chance.randbytes(chance.randrange(2_000)))
            file.add(pieces[-1])
            number = chance.randrange(len(pieces))
            assert file.read(number) == pieces[number]
        assert len(file) == 300
        assert [file.read(number) for number in range(300)] == pieces


def test_what_lies_on_disk_is_sealed_and_has_no_name():
    with SealedFile() as file:
        file.add(b"a name that nobody may read" * 50)
        file.read(0)
        descriptor = file._file.fileno()
        assert os.fstat(descriptor).st_nlink == 0
        assert b"name" not in os.pread(descriptor, 10_000, 0)


def test_a_piece_opens_under_its_own_number_alone():
    with SealedFile() as file:
        for _ in range(2):
            file.add(b"of the same length")
        file._file.seek(0)
        both, length = file._file.read(), file._ends[1]
        file._file.seek(0)
        file._file.write(both[length:] + both[:length])
        with pytest.raises(SealBroken):
            file.read(0)
