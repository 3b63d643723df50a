"""Run a training function in a process of its own, so that its crash is an error here and not the end of the caller.

TensorFlow 2.21 can die in native code (SIGSEGV, SIGABRT) while training on CPUs with AVX-512. After such a death the
function runs once more with TensorFlow's oneDNN kernels off, which is slower and does not crash.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from ml.result import ModelError, TrainingDied, TrainingFailed

logger = logging.getLogger(__name__)

CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})
WITHOUT_ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "0"}


def run_in_child(function: Callable[..., Any], *args: Any, timeout: float = 4 * 3600, **kwargs: Any) -> Any:
    """Call an importable `function` in a spawned process and return its value; retry once after a crash."""
    try:
        return _attempt(function, args, kwargs, timeout, {})
    except TrainingDied as death:
        if -death.exit_code not in CRASHES:
            raise
        logger.warning("training crashed with signal %d; trying again without oneDNN", -death.exit_code)
        return _attempt(function, args, kwargs, timeout, WITHOUT_ONEDNN)


def _attempt(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    timeout: float,
    environment: Mapping[str, str],
) -> Any:
    # Spawned, never forked: TensorFlow hangs in a fork of a process that has used it.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(sender, function, args, kwargs, dict(environment)), daemon=True)
    child.start()
    sender.close()
    try:
        if not receiver.poll(timeout):
            raise TrainingFailed(f"Training took longer than {timeout:.0f} s and was ended.")
        succeeded, value = receiver.recv()
    except EOFError:
        child.join()
        raise TrainingDied(_death(child.exitcode or 0), child.exitcode or 0) from None
    finally:
        if child.is_alive():
            child.join(5)
        if child.is_alive():
            child.kill()
            child.join()
        receiver.close()
    if succeeded:
        return value
    raise value


def _child(
    sender: Connection,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    environment: dict[str, str],
) -> None:
    os.environ.update(environment)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow removes the modules that it generates among temporary files, and not what they would be compiled to.
    sys.dont_write_bytecode = True
    try:
        answer = (True, function(*args, **kwargs))
    except ModelError as error:
        answer = (False, error)
    except Exception as error:
        logger.exception("training failed")
        answer = (False, TrainingFailed(f"Training failed: {type(error).__name__}: {error}"))
    sender.send(answer)
    sender.close()


def _death(exit_code: int) -> str:
    if exit_code < 0:
        return f"The training process was ended by signal {-exit_code} ({signal.Signals(-exit_code).name})."
    return f"The training process left with exit code {exit_code} and without an answer."
