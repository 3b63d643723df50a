"""Reading npz: plain arrays come out, and nothing in the file is ever run."""

import io
import os

import numpy as np
import pytest

from ml.cnn.npz import read_arrays


class MakesADirectory:
    """An object whose unpickling would leave a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_plain_arrays_come_out_under_their_names():
    found = read_arrays(npz(a=np.arange(6).reshape(2, 3), b=np.float16(7)))
    assert found.keys() == {"a", "b"}
    assert np.array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    assert found["b"] == 7


def test_an_object_in_the_file_is_refused_and_not_unpickled(tmp_path):
    content = npz(images=np.array([MakesADirectory(tmp_path / "trace")], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        read_arrays(content)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("cut", [0, 1, 30, 100, -1, -30])
def test_a_cut_off_file_is_refused(cut):
    with pytest.raises(ValueError, match="archive"):
        read_arrays(npz(a=np.arange(50))[:cut])


def test_a_changed_byte_is_noticed():
    content = bytearray(npz(a=np.random.default_rng(0).normal(size=500)))
    content[len(content) // 2] ^= 255
    with pytest.raises(ValueError, match="archive"):
        read_arrays(bytes(content))
