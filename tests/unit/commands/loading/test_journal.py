"""The journal of what a server has answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from hie.commands.loading.journal import REFUSED, SENT, STORED, Journal, JournalError

SERVER = "http://one/fhir"


def test_the_last_state_of_a_unit_holds_after_opening_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", SERVER) as journal:
        journal.write(["a", "b", "c"], SENT)
        journal.write(["a"], STORED)
        journal.write(["b"], REFUSED)
    with Journal(tmp_path / "j", SERVER) as journal:
        assert [journal.state(digest) for digest in "abcd"] == [STORED, REFUSED, SENT, None]


def test_what_another_server_stored_does_not_count(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", SERVER) as journal:
        journal.write(["a"], STORED)
    with Journal(tmp_path / "j", "http://two/fhir") as journal:
        assert journal.state("a") is None


def test_a_line_that_was_cut_off_is_passed_over_and_ended(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", SERVER) as journal:
        journal.write(["a"], STORED)
    with (tmp_path / "j").open("a") as file:
        file.write('{"server": "http://one/fhir", "dig')
    with Journal(tmp_path / "j", SERVER) as journal:
        journal.write(["b"], STORED)
    with Journal(tmp_path / "j", SERVER) as journal:
        assert (journal.state("a"), journal.state("b")) == (STORED, STORED)


@pytest.mark.parametrize(
    "line",
    [b"\xff\xfe\x00", b"[1, 2]", b'"text"', b'{"server": "http://one/fhir", "digest": ["a"], "state": "stored"}',
     b'{"server": "http://one/fhir", "digest": "a", "state": "unheard-of"}', b"[" * 100_000],
    ids=["no text", "a list", "a string", "a digest that is none", "a state that is none", "too deep"],
)  # fmt: skip
def test_a_line_that_somebody_spoiled_is_passed_over(tmp_path: Path, line: bytes) -> None:
    with Journal(tmp_path / "j", SERVER) as journal:
        journal.write(["b"], STORED)
    with (tmp_path / "j").open("ab") as file:
        file.write(line + b"\n")
    with Journal(tmp_path / "j", SERVER) as journal:
        assert (journal.state("a"), journal.state("b")) == (None, STORED)


def test_two_loads_do_not_share_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", SERVER), pytest.raises(JournalError, match="Another"):
        Journal(tmp_path / "j", SERVER)


def test_a_journal_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="--journal"):
        Journal(tmp_path / "absent" / "j", SERVER)
