"""Limits of the process that decodes large and compressed pictures."""

from __future__ import annotations

import pytest

from fhir_adapters.base import Damaged, TooCostly
from fhir_adapters.imaging import apart
from tests.pictures import encoded, ramp


def test_a_picture_comes_back_unchanged():
    pixels, colourful = apart.decode(encoded(ramp()), "image/png")
    assert (pixels == ramp()).all()
    assert not colourful


def test_an_error_comes_back_as_the_same_error():
    with pytest.raises(Damaged, match="cannot be decoded"):
        apart.decode(encoded(ramp(), "JPEG")[:-200], "image/jpeg")


def test_too_little_time_is_an_error_and_no_hanging(monkeypatch):
    monkeypatch.setattr(apart, "WALL_SECONDS", 0.01)
    with pytest.raises(TooCostly, match="longer than"):
        apart.decode(encoded(ramp()), "image/png")


def test_a_decoder_that_is_killed_is_an_error():
    with pytest.raises(TooCostly):
        raise apart._death(-9)
    with pytest.raises(Damaged, match="-11"):
        raise apart._death(-11)


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}\n", b'{"rows": 3, "columns": 3, "colourful": false}\n12', b'{"error": "Exit", "diagnostics": ""}\n'],
    ids=["nothing", "no facts", "too few pixels", "an unknown error"],
)
def test_an_unreadable_answer_is_an_error(answer):
    with pytest.raises(Damaged, match="no readable answer"):
        apart._unpacked(answer)
