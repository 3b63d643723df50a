"""What commands say of who asks."""

from __future__ import annotations

import pytest

from hie.commands.bearer import source_headers


def test_headers_stand_in_a_file_one_a_line(tmp_path):
    path = tmp_path / "headers"
    path.write_text("X-Api-Key: abc def \n\nAuthorization:Basic eA==\n")
    assert source_headers(None, None, path) == {"X-Api-Key": "abc def", "Authorization": "Basic eA=="}


def test_the_token_of_the_server_that_follows_is_never_the_sources(monkeypatch):
    monkeypatch.setenv("HIE_TOKEN", "mine")
    assert source_headers(None, None, None) == {}
    monkeypatch.setenv("HIE_SOURCE_TOKEN", "theirs")
    assert source_headers(None, None, None) == {"Authorization": "Bearer theirs"}


@pytest.mark.parametrize("line", ["secret", "X Y: secret", ": secret", "X: sec\x01ret", "Host: secret", "X: sécret"])
def test_what_is_no_header_is_named_by_its_line_alone(tmp_path, line):
    path = tmp_path / "headers"
    path.write_text(f"A: b\n{line}\n")
    with pytest.raises(ValueError, match="Line 2 of ") as told:
        source_headers(None, None, path)
    assert "ret" not in str(told.value).replace(str(path), "")


def test_two_answers_to_who_asks_are_refused(tmp_path):
    path = tmp_path / "headers"
    path.write_text("authorization: Basic eA==")
    with pytest.raises(ValueError, match="has the header Authorization, and a token"):
        source_headers("token", None, path)
