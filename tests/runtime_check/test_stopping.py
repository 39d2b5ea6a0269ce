"""Ends that somebody asks for, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

HEAD = """
import os, signal, sys, time
from runtime_check.stopping import command_line, exit_code, stop_in_order, unbroken
def ask(number):
    os.kill(os.getpid(), number)
    time.sleep(0.05)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    # A run of the tests in the background ignores Ctrl-C, and children inherit that.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    return subprocess.run(
        [sys.executable, "-c", heed + HEAD + code],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_cleans_up_runs_and_the_exit_code_names_the_signal(number: int, code: int) -> None:
    done = run(f"""
with command_line():
    try:
        ask({int(number)})
    finally:
        print("cleaned")
    print("went on")
""")
    assert (done.returncode, done.stdout, done.stderr) == (
        code,
        "cleaned\n",
        "error: interrupted.\n",
    )


def test_what_must_not_break_comes_to_its_end() -> None:
    done = run("""
with command_line(), unbroken():
    with unbroken():
        ask(signal.SIGTERM)
    print("to the end")
print("went on")
""")
    assert (done.returncode, done.stdout) == (143, "to the end\n")


@pytest.mark.parametrize("module", ["exporter", "runtime_check"])
@pytest.mark.parametrize("when", ["typer", "rich.console"])
def test_asked_to_end_while_it_starts(module: str, when: str) -> None:
    """The imports take a second, in which people see that they mistyped."""
    done = run(f"""
import runpy
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {when!r}:
            ask(signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv = [{module!r}, "--version"]
runpy.run_module({module!r}, run_name="__main__")
""")
    assert (done.returncode, done.stderr) == (130, "error: interrupted.\n")


def test_an_exception_that_gets_lost_comes_again() -> None:
    done = run("""
class Loses:
    def __del__(self):
        ask(signal.SIGTERM)
with command_line():
    Loses()
    time.sleep(30)
""")
    assert (done.returncode, done.stderr) == (143, "error: interrupted.\n")


def test_a_signal_that_is_ignored_from_outside_stays_ignored() -> None:
    done = run("""
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with command_line():
    ask(signal.SIGHUP)
print("went on")
""")
    assert (done.returncode, done.stdout) == (0, "went on\n")


def test_an_error_that_a_library_made_of_it_is_no_error() -> None:
    done = run("""
from runtime_check.people import people_errors
with command_line(), people_errors():
    try:
        ask(signal.SIGTERM)
    except KeyboardInterrupt:
        raise ImportError("numpy could not be imported")
""")
    assert (done.returncode, done.stderr) == (143, "error: interrupted.\n")
