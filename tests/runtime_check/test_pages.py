from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from runtime_check import pages


def test_values_are_escaped_and_missing_ones_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "TEMPLATES", tmp_path)
    (tmp_path / "t.svg").write_text("<a>{{ text }}</a>\n")
    pages.write_page("t.svg", {"text": "<&"}, tmp_path / "new" / "page.svg")
    assert (tmp_path / "new" / "page.svg").read_text() == "<a>&lt;&amp;</a>\n"
    with pytest.raises(UndefinedError):
        pages.write_page("t.svg", {}, tmp_path / "page.svg")
