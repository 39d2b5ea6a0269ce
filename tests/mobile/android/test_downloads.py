"""What is kept in the cache: whole or not at all, and made once, whoever comes at the same time."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import APP_TOOLS, ROOT

MAKER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from downloads import made

def make(part):
    part.mkdir()
    print("made", flush=True)
    time.sleep(1)
    (part / "class").write_text("whole")

print((made(Path(sys.argv[2]), make) / "class").read_text())
"""


def test_two_that_want_the_same_folder_make_it_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKER, str(APP_TOOLS), str(tmp_path / "cache" / "app-r")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=60)[0].split() for process in both)
    assert said == [["made", "whole"], ["whole"]]


def test_what_could_not_be_made_is_not_there_and_is_made_again(tmp_path: Path) -> None:
    from downloads import made

    target = tmp_path / "jar"

    def fail(part: Path) -> None:
        part.write_text("half")
        raise RuntimeError("no space")

    with pytest.raises(RuntimeError, match="no space"):
        made(target, fail)
    assert not target.exists()

    def succeed(part: Path) -> None:
        part.write_text("whole")

    assert made(target, succeed).read_text() == "whole"
    assert made(target, fail).read_text() == "whole"


@pytest.fixture
def without_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine like Debian's with Java, Maven and npm, but nothing of Android's."""
    gone = {"apksigner", "zipalign", "dexdump"}

    def which(name: str) -> str | None:
        return None if name in gone else f"/usr/bin/{name}"

    monkeypatch.setattr(shutil, "which", which)


THREE = (
    "Not installed: apksigner, zipalign, dexdump. apt-get install apksigner zipalign dexdump"
)  # fmt: skip


def test_every_missing_program_is_named_at_once(without_three: None) -> None:
    from downloads import ToolMissing, absent, find_program, require_programs

    require_programs("java", "mvn")
    with pytest.raises(ToolMissing) as raised:
        require_programs()
    assert str(raised.value) == THREE
    assert absent()[0] == THREE
    with pytest.raises(ToolMissing, match=r"Not installed: zipalign\. apt-get install zipalign"):
        find_program("zipalign")


def test_nothing_is_fetched_before_all_programs_are_there(
    without_three: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import downloads
    import prepare

    def fail(*_: object) -> None:
        raise AssertionError("fetched")

    monkeypatch.setattr(downloads, "maven", fail)
    assert prepare.main() == 2
    assert capsys.readouterr().err == f"{THREE}\n"


def test_nothing_is_compiled_before_all_programs_are_there(
    without_three: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("tomllib")
    import build_apk
    from downloads import ToolMissing

    def fail(*_: object) -> None:
        raise AssertionError("compiled")

    monkeypatch.setattr(build_apk, "link_resources", fail)
    build = build_apk.Build(debuggable=True, runtime="auto", out=tmp_path / "x", assets=tmp_path)
    with pytest.raises(ToolMissing, match=r"Not installed: apksigner, zipalign\. apt-get"):
        build_apk.build_apk(build)


def test_readme_has_one_line_that_installs_all_of_them() -> None:
    from downloads import PROGRAMS

    readme = (ROOT / "android_demo/README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"(?m)^sudo apt-get install (.+?)(?: +#.*)?$", readme)
    assert sorted(line.split()) == sorted(set(PROGRAMS.values()))


def test_ci_installs_the_same_programs() -> None:
    from downloads import PROGRAMS

    script = (ROOT / ".ci/android.sh").read_text(encoding="utf-8")
    found = dict(re.findall(r"\[(\w+)\]=([\w-]+)", script))
    assert found == {n: p for n, p in PROGRAMS.items() if n not in ("java", "keytool")}
