"""`export` raises `ExportError` alone."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import exporter
from exporter.errors import ExportError, ModelError, UsageError, VerifyError
from exporter.guard import export_errors
from runtime_check.errors import ParityError, RuntimeCheckError


def raised(error: BaseException) -> BaseException:
    with pytest.raises(BaseException) as caught, export_errors("mine"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind", "exit_code"),
    [
        (RuntimeCheckError("a"), UsageError, 2),
        (ParityError("a"), VerifyError, 1),
        (SystemExit(0), ModelError, 2),
        (ExportError("a"), ExportError, 2),
    ],
)
def test_errors_become_ours(error: BaseException, kind: type[ExportError], exit_code: int) -> None:
    found = raised(error)
    assert type(found) is kind
    assert found.exit_code == exit_code


def test_where_the_authors_code_raised_is_told() -> None:
    found = raised(ZeroDivisionError("by zero"))  # from a line here, as an author's would be
    assert isinstance(found, ModelError)
    assert "mine: its own code raised ZeroDivisionError: by zero (" in str(found)
    assert "test_guard.py, line " in str(found)


def test_a_full_disk_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x.ptl")

    monkeypatch.setattr("exporter.guard.authors_line", lambda error: "")
    says = r"x\.ptl: No space left on device\. Nothing was"
    with pytest.raises(ExportError, match=says), export_errors("mine"):
        full()


def test_a_bug_of_ours_and_ctrl_c_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(raised(KeyboardInterrupt())) is KeyboardInterrupt
    monkeypatch.setattr("exporter.guard.authors_line", lambda error: "")
    assert type(raised(ZeroDivisionError())) is ZeroDivisionError
    assert type(raised(MemoryError())) is ExportError


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "pytorch-9"},
        {"quantize": 3},
        {"quantize": "statc"},
        {"seed": -1},
        {"run_on": "arm65"},
        {"weights": 3},
        {"out": None},
        {"budget": 0.5},
    ],
)
def test_every_mistake_is_an_export_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ExportError):
        exporter.export("test_vit", random_weights=True, **wrong)
