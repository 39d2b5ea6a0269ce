from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from exporter.cli import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run the command line in this process."""

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        code = exit_.value.code
        assert code is None or isinstance(code, int)
        return Done(code or 0, *capsys.readouterr())

    return run
