"""Ends that somebody asks for: Ctrl-C, `kill`, a closed terminal. Whatever cleans up still runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
# An exception may get lost (in a callback of the import system, in a library that catches all):
# then it is raised again after so many seconds.
_AGAIN = 0.2


class Stopped(KeyboardInterrupt):
    """Somebody asked this process to end. What handles Ctrl-C handles it too."""


class _State:
    """Which signal asked this process to end (0: none), and whether that has to wait."""

    signal = 0
    held = 0


_state = _State()


def stopped_by() -> int:
    """Return the number of the signal that asked this process to end; 0 for none."""
    return _state.signal


def exit_code() -> int:
    """Return what a process that was asked to end returns, as a shell says it: 130 for Ctrl-C."""
    return 128 + (_state.signal or signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    _state.signal = number
    if not _state.held:
        raise Stopped


def _lost(error: sys.UnraisableHookArgs) -> None:
    if issubclass(error.exc_type, Stopped):
        threading.Timer(_AGAIN, os.kill, (os.getpid(), _state.signal)).start()
    else:
        sys.__unraisablehook__(error)


def stop_in_order() -> None:
    """Let the signals that end this process raise `Stopped`: for a command line's first line.

    A signal that this process was started to ignore (`nohup`) stays ignored.
    """
    sys.unraisablehook = _lost
    for number in _SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _stop)


@contextmanager
def unbroken() -> Iterator[None]:
    """Let what is inside come to its end before `Stopped` is raised; it has to be short."""
    _state.held += 1
    try:
        yield
    finally:
        _state.held -= 1
    if _state.signal and not _state.held:
        raise Stopped


@contextmanager
def command_line() -> Iterator[None]:
    """Run a command line from its imports on: asked to end, it says so and nothing else."""
    stop_in_order()
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted.\n")
        raise SystemExit(exit_code()) from None
    finally:
        for number in _SIGNALS:  # nothing is left to clean up
            if signal.getsignal(number) is _stop:
                signal.signal(number, signal.SIG_DFL)
