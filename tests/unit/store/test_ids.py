"""Ids that the server gives."""

from __future__ import annotations

import uuid

from hie.store.ids import new_id


def test_an_id_is_a_random_uuid_and_nobody_else_has_it() -> None:
    ids = [new_id() for _ in range(1_000)]
    assert len(set(ids)) == len(ids)
    for one in ids:
        read = uuid.UUID(one)
        assert (str(read), read.version, read.variant) == (one, 4, uuid.RFC_4122)
