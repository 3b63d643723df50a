"""Whatever bytes arrive, decoding gives pixels or an AdapterError, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_adapters.base import AdapterError
from fhir_adapters.imaging import decode, inspect, pixels
from tests.pictures import dicom, encoded, ramp

GREY = ramp()
SEEDS = {
    "png": encoded(GREY),
    "palette": encoded(np.repeat(GREY[..., None], 3, axis=2)),
    "jpeg": encoded(GREY, "JPEG"),
    "progressive": encoded(GREY, "JPEG", progressive=True),
    "dicom": dicom(GREY),
    "windowed": dicom(ramp(top=4095, dtype=np.uint16), WindowCenter=1000, WindowWidth=500, RescaleSlope=1,
                      RescaleIntercept=-1000, PixelPaddingValue=3),
    "implicit": dicom(GREY, syntax="1.2.840.10008.1.2"),
    "deflated": dicom(GREY, syntax="1.2.840.10008.1.2.1.99"),
}  # fmt: skip

HEADS = (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", bytes(128) + b"DICM")

changes = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.floats(0, 1), st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("cut"), st.floats(0, 1), st.binary(min_size=1, max_size=9)),
        st.tuples(st.just("add"), st.floats(0, 1), st.binary(min_size=1, max_size=9)),
        st.tuples(st.just("end"), st.floats(0, 1), st.just(b"")),
    ),
    min_size=1,
    max_size=4,
)


def changed(data: bytes, steps: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, content in steps:
        place = int(where * len(data))
        if kind == "put":
            data = data[:place] + content + data[place + len(content) :]
        elif kind == "cut":
            data = data[:place] + data[place + len(content) :]
        elif kind == "add":
            data = data[:place] + content + data[place:]
        else:
            data = data[:place]
    return data


@pytest.mark.filterwarnings("default")  # libraries may warn of what they are shown; a warning is no escape
@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(steps=changes)
def test_a_changed_file_decodes_or_is_refused(name: str, steps: Any) -> None:
    data = changed(SEEDS[name], steps)
    refusal, shape = None, ()
    try:
        header = inspect(data)
        # Decoding apart is a start of Python each; what happens there is this very function.
        shape = pixels.decode(data, header.content_type)[0].shape if header.apart else decode(data).pixels.shape
    except AdapterError as error:
        refusal = error
    assert refusal.diagnostics.endswith(".") if refusal else len(shape) == 2


@pytest.mark.filterwarnings("default")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(head=st.sampled_from(HEADS), rest=st.binary(max_size=400))
def test_random_bytes_behind_a_signature_are_refused(head: bytes, rest: bytes) -> None:
    with pytest.raises(AdapterError):
        inspect(head + rest)
