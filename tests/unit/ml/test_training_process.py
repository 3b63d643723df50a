"""Training in a process of its own: its answer, its errors and its death."""

import operator
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from ml.cnn.data import load
from ml.result import DataUnreadable, TrainingDied, TrainingFailed
from ml.training import run_in_child

ABORT_UNLESS_RETRIED = """
__import__("os").abort() if __import__("os").environ.get("TF_ENABLE_ONEDNN_OPTS") != "0" else "second time"
"""


def test_the_answer_comes_back_from_another_process():
    assert run_in_child(operator.add, 2, 3) == 5
    assert run_in_child(os.getpid) != os.getpid()


def test_what_is_generated_there_is_not_compiled_to_a_file():
    assert run_in_child(eval, "__import__('sys').dont_write_bytecode") is True


def test_a_model_error_comes_back_as_it_is():
    with pytest.raises(DataUnreadable, match=r"nowhere\.npz"):
        run_in_child(load, Path("nowhere.npz"))


def test_another_error_is_a_failed_training_that_names_it():
    with pytest.raises(TrainingFailed, match="ZeroDivisionError") as caught:
        run_in_child(operator.truediv, 1, 0)
    assert not isinstance(caught.value, TrainingDied)


def test_a_killed_process_is_reported_with_its_signal():
    with pytest.raises(TrainingDied, match="SIGKILL") as caught:
        run_in_child(signal.raise_signal, signal.SIGKILL)
    assert caught.value.exit_code == -signal.SIGKILL


def test_a_process_that_leaves_without_an_answer_is_reported():
    with pytest.raises(TrainingDied, match="exit code 3") as caught:
        run_in_child(os._exit, 3)
    assert caught.value.exit_code == 3


def test_an_answer_that_cannot_be_sent_is_reported():
    with pytest.raises(TrainingFailed):
        run_in_child(threading.Lock)


def test_a_crash_is_tried_once_more_without_onednn():
    assert run_in_child(eval, ABORT_UNLESS_RETRIED.strip()) == "second time"
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"


def test_a_second_crash_is_the_end():
    with pytest.raises(TrainingDied, match="SIGABRT"):
        run_in_child(os.abort)


def test_a_training_that_takes_too_long_is_ended():
    started = time.monotonic()
    with pytest.raises(TrainingFailed, match="longer than 1 s"):
        run_in_child(time.sleep, 120, timeout=1)
    assert time.monotonic() - started < 100, "it was not ended, but ended by itself after 120 s"
