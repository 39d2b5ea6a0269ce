"""What a file says about itself is shown, and neither colors a terminal nor acts in a page."""

from __future__ import annotations

import html.parser
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import exporter.cli
import runtime_check.cli
from exporter.report.page import write_html
from runtime_check import read_artifact
from runtime_check.artifact.metadata import GOLDEN_RECORD, METADATA_RECORD, Metadata
from runtime_check.testing.archives import with_records

from ..exporter.report.reports import features
from ..hostile import ACTING, EVIL, count, hostile

PROPERTIES = ("-p", "metadata", "-p", "golden", "-p", "parity")
SPELLED = "\\x1b[31m\\x9b2J\\u202e\\x07"


@pytest.fixture(scope="module", params=["tensor", "image"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact with hostile texts in both records, and in its name."""
    source = request.getfixturevalue(f"{request.param}_ptl").path
    good = read_artifact(source)
    rows = {
        "passes": [{"name": "", "stage": "prepare", "effect": ""}],
        "runtimes": [{"runtime": "", "compatible": True, "how": "executed", "detail": ""}],
        "ledger": [{"stage": "", "note": ""}],
        "operators": {"aten::relu": 1},
    }
    metadata = hostile(Metadata.model_validate(good.metadata.model_dump() | rows))
    golden = hostile(good.golden)
    assert count(metadata) > 20
    assert count(golden) >= 3
    target = tmp_path_factory.mktemp("hostile") / "net\x1b[31m\u202e[bold]\n.ptl"
    records = {METADATA_RECORD: metadata, GOLDEN_RECORD: golden}
    return with_records(
        source, target, {name: r.model_dump_json().encode() for name, r in records.items()}
    )


def shown(
    main: Callable[[list[str]], object],
    capsys: pytest.CaptureFixture[str],
    *words: str,
    codes: tuple[int, ...],
) -> str:
    """What both streams show; no character of it acts, and no line is the file's own."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    assert (ended.value.code or 0) in codes, out + err
    assert "should not have happened" not in err
    assert not set(ACTING) & set(out + err)
    assert not [line for line in (out + err).splitlines() if line.startswith(("[bold]", "pass["))]
    return str(out + err)


def test_inspect_shows_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(exporter.cli.main, capsys, "inspect", str(file), codes=(0,))
    assert out.count(SPELLED) >= 13
    assert out.count("[bold]pass[/x]</script><b") >= 12
    out = shown(exporter.cli.main, capsys, "inspect", str(file), "--json", codes=(0,))
    assert json.loads(out)["metadata"]["name"].startswith(EVIL)


def test_the_checker_shows_it(
    file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page, data = tmp_path / "r.html", tmp_path / "r.json"
    words = (str(file), "--examples", "2", "--counterexamples", str(tmp_path), *PROPERTIES)
    out = shown(runtime_check.cli.main, capsys, *words, "--report", str(page), codes=(0, 1, 3))
    assert SPELLED in out
    assert "[bold]pass[/x]</script><b" in out
    assert_page(page.read_text(encoding="utf-8"), at_least=3)
    out = shown(
        runtime_check.cli.main, capsys, *words, "--json", "--report", str(data), codes=(0, 1, 3)
    )
    assert json.loads(out)["name"].startswith(EVIL)
    assert not set(ACTING) & set(data.read_text(encoding="utf-8"))


def test_the_pytest_plugin_shows_it(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-rA", "-n", "0", "-p", "no:cacheprovider"]
    command += ["--color", "no", "-k", "metadata or parity"]
    done = subprocess.run(
        [*command, "--artifact", str(file), "--artifact-examples", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "metadata" in done.stdout
    assert "INTERNALERROR" not in done.stdout
    assert not set(ACTING) & set(done.stdout)


def test_a_reference_that_is_none_is_named_as_text(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each reason not to rebuild it quotes the model, or where its weights came from."""

    def stating(**changes: Any) -> Path:
        good = read_artifact(file)
        value = json.loads(good.metadata.model_dump_json())
        value["provenance"]["weights"].update(changes.pop("weights", {}))
        value["provenance"].update(changes)
        text = json.dumps(value).encode()
        return with_records(file, tmp_path / "a.ptl", {METADATA_RECORD: text})

    for path in (
        stating(source="module"),
        stating(model=f"{EVIL}:f"),
        stating(source="timm", model=EVIL, weights={"origin": "random"}),
        stating(source="timm", model=f"hf-hub:{EVIL}", weights={"origin": "hub"}),
        stating(source="timm", model="resnet10t", weights={"origin": "file"}),
        stating(source="timm", model="resnet10t", weights={"origin": "random"}),
    ):
        out = shown(runtime_check.cli.main, capsys, str(path), "-p", "metadata", codes=(0, 1, 3))
        assert "reference  none." in out


def assert_page(text: str, *, at_least: int) -> None:
    tags: list[str] = []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert not [name for name, _ in attrs if name.startswith("on")]

    Parser(convert_charrefs=True).feed(text)
    assert "script" not in tags
    assert not set(ACTING) & set(text)
    assert text.count(SPELLED) >= at_least


def test_the_exporters_page_shows_it(tmp_path: Path) -> None:
    report = hostile(features())
    assert count(report) >= 40
    write_html(report, tmp_path / "page.html")
    assert_page((tmp_path / "page.html").read_text(encoding="utf-8"), at_least=35)
