"""The file that says how far a server was followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hie.commands.following.state import Reached, State, StateError

SECOND = 1_000_000


def state(path: Path, source: str = "http://a", url: str = "http://b", types: tuple[str, ...] = ()) -> State:
    return State(path, source, url, types)


def test_each_source_server_and_choice_of_types_has_its_own(tmp_path):
    path = tmp_path / "state"
    for number, given in enumerate([{}, {"source": "http://c"}, {"url": "http://d"}, {"types": ("Patient", "Group")}]):
        with state(path, **given) as one:
            assert one.reached == Reached()
            one.reached.until = number * SECOND
            one.write()
            one.reached.waiting["Patient/a"] = SECOND
            one.reached.settled["Patient/b/_history/1"] = 2 * SECOND
            one.write()
    with state(path, types=("Group", "Patient")) as one:
        assert one.reached == Reached(3 * SECOND, {"Patient/a": SECOND}, {"Patient/b/_history/1": 2 * SECOND})
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


def test_it_is_written_by_one_at_a_time(tmp_path):
    path = tmp_path / "state"
    with state(path) as one:
        for _ in range(2):
            with pytest.raises(StateError, match="Another `hie follow` is writing"):
                state(path)
            one.write()
    state(path).__exit__(None, None, None)


@pytest.mark.parametrize("text", [
    "{", "[]", "7", '{"followed": 1}', '{"followed": [{}]}', "[" * 100_000,
    '{"followed": [{"source": "http://a", "url": "http://b", "types": []}]}',
    '{"followed": [{"source": "http://a", "url": "http://b", "types": [], "until": "x", "waiting": {}}]}',
])  # fmt: skip
def test_what_is_no_state_is_told_and_kept(tmp_path, text):
    path = tmp_path / "state"
    path.write_text(text)
    with pytest.raises(StateError, match="is no state of `hie follow`"):
        state(path)
    assert path.read_text() == text


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(StateError, match=r"cannot be written \(No such file or directory\); name another by --state"):
        state(tmp_path / "none" / "state")
