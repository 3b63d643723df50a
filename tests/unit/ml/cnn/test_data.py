"""Reading the data set, and finding what leaked from split to split."""

import numpy as np
import pytest

from ml.cnn.data import load, load_foreign, without_leaks
from ml.result import DataUnreadable


def test_splits_are_read_as_they_lie_in_the_file(small_data, arrays):
    data = load(small_data)
    assert (len(data.train), len(data.val), len(data.test)) == (48, 20, 20)
    assert np.array_equal(data.val.images, arrays["val_images"])
    assert data.val.labels.shape == (20,)


def test_the_checksum_is_that_of_the_file(small_data):
    before = load(small_data).sha256
    small_data.write_bytes(small_data.read_bytes() + b"\0")
    assert load(small_data).sha256 != before


def test_pictures_of_another_split_and_repeated_ones_leave_training(arrays, tmp_path):
    arrays["train_images"][3] = arrays["val_images"][0]
    arrays["train_images"][4] = np.clip(arrays["test_images"][1].astype(int) + 2, 0, 255)  # nearly the same
    arrays["train_images"][9] = arrays["train_images"][8]
    np.savez(tmp_path / "leaky.npz", **arrays)
    data, leakage = without_leaks(load(tmp_path / "leaky.npz"))
    assert (leakage.train_in_val, leakage.train_in_test, leakage.repeated_in_train) == (1, 1, 1)
    assert leakage.dropped_from_train == 3
    assert np.array_equal(data.train.images, np.delete(arrays["train_images"], (3, 4, 9), axis=0))
    assert len(data.train.labels) == 45
    assert (len(data.val), len(data.test)) == (20, 20)


def test_clean_data_stays_whole(small_data):
    data, leakage = without_leaks(load(small_data))
    assert leakage.dropped_from_train == 0
    assert len(data.train) == 48


def _without(arrays):
    del arrays["val_labels"]


def _floats(arrays):
    arrays["train_images"] = arrays["train_images"] / 255


def _other_size(arrays):
    arrays["test_images"] = np.zeros((20, 64, 64), np.uint8)


def _empty(arrays):
    arrays["test_images"], arrays["test_labels"] = arrays["test_images"][:0], arrays["test_labels"][:0]


def _third_class(arrays):
    arrays["train_labels"][0] = 2


def _too_few_labels(arrays):
    arrays["train_labels"] = arrays["train_labels"][:-1]


@pytest.mark.parametrize("spoil", [_without, _floats, _other_size, _empty, _third_class, _too_few_labels])
def test_data_laid_out_otherwise_is_unreadable(spoil, arrays, tmp_path):
    spoil(arrays)
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(DataUnreadable):
        load(tmp_path / "odd.npz")


def test_objects_in_the_file_are_never_unpickled(arrays, tmp_path):
    arrays["train_images"] = np.array([{"any": "object"}], dtype=object)
    np.savez(tmp_path / "objects.npz", **arrays)
    with pytest.raises(DataUnreadable):
        load(tmp_path / "objects.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no archive"])
def test_a_file_that_is_no_npz_is_unreadable(content, tmp_path):
    (tmp_path / "broken.npz").write_bytes(content)
    with pytest.raises(DataUnreadable):
        load(tmp_path / "broken.npz")
    with pytest.raises(DataUnreadable):
        load_foreign(tmp_path / "broken.npz")


def test_a_missing_file_is_unreadable(tmp_path):
    with pytest.raises(DataUnreadable, match=r"nowhere\.npz"):
        load(tmp_path / "nowhere.npz")


def test_foreign_pictures_of_all_splits_are_joined(small_data):
    assert load_foreign(small_data).shape == (88, 28, 28)


def test_the_known_flaws_of_pneumoniamnist_are_found(pneumoniamnist):
    data, leakage = without_leaks(load(pneumoniamnist))
    assert leakage.repeated_in_train == 18
    assert leakage.repeated_in_test == 3
    assert (leakage.train_in_test, leakage.val_in_test) == (0, 0)
    assert leakage.train_in_val == 10
    assert len(data.train) == 4708 - leakage.dropped_from_train == 4682
