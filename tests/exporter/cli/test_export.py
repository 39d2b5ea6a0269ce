"""The command line as a stranger uses it, in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_first_command(tmp_path: Path) -> None:
    app = tmp_path / "android_demo" / "app/src/main"
    app.mkdir(parents=True)
    (tmp_path / "ios_demo/Models").mkdir(parents=True)
    done = process("--install", "android_demo", "--install", "ios_demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "tabby" in done.stdout
    assert "saved + reloaded" in done.stdout
    name = "tf_efficientnet_lite0.ptl"
    exported = (tmp_path / "build" / name).read_bytes()
    assert (app / "assets" / name).read_bytes() == exported
    assert (tmp_path / "ios_demo/Models" / name).read_bytes() == exported
    assert sorted(p.name for p in (tmp_path / "build").iterdir()) == [
        name,
        "tf_efficientnet_lite0.report.html",
        "tf_efficientnet_lite0.report.json",
    ]


def test_json_is_json_alone(tmp_path: Path) -> None:
    done = process(
        "export",
        "own_models:ConvNormNet",
        "--input-shape",
        "1,3,32,32",
        "--json",
        "-o",
        str(tmp_path / "out"),
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["report"]["metadata"]["capture"]["method"] == "script"
    assert Path(value["path"]).exists()


def test_a_mistake_in_a_process(tmp_path: Path) -> None:
    done = process("resnet18", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: There is no command 'resnet18'.")
