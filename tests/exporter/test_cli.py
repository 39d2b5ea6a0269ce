"""The command line as a stranger uses it: real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import exporter.cli
from exporter import environment
from exporter.errors import UnsuitableTorch, UsageError
from exporter.install import install, models_folder


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
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
    done = run("--install", "android_demo", "ios_demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "tabby" in done.stdout
    assert "saved + reloaded" in done.stdout
    name = "tf_efficientnet_lite0.ptl"
    made = (tmp_path / "build" / name).read_bytes()
    assert (app / "assets" / name).read_bytes() == made
    assert (tmp_path / "ios_demo/Models" / name).read_bytes() == made
    assert sorted(p.name for p in (tmp_path / "build").iterdir()) == [
        "report.html",
        "report.json",
        name,
    ]


def test_json_is_json_alone(tmp_path: Path) -> None:
    done = run(
        "export",
        "own_models:ConvNormNet",
        "--input-shape",
        "1,3,32,32",
        "--json",
        "-o",
        str(tmp_path / "out"),
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["report"]["metadata"]["capture"]["method"] == "script"
    assert Path(value["path"]).exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["resnet18"], 2, "Did you mean `export resnet18`"),
        (["inspct"], 2, "Did you mean `inspect`"),
        (["export", "resnet81", "--random-weights"], 2, "Did you mean"),
        (["export", "test_vit", "--random-weights", "--capture", "trac"], 2, "Did you mean trace"),
        (["export", "test_vit", "--random-weights", "--disable", "nothing"], 2, "no pass"),
        (["export", "test_vit", "--random-weights", "--install", "nowhere"], 2, "no folder"),
        (["export", "test_vit", "--weights", "no.safetensors"], 2, "no.safetensors"),
        (["export", "test_vit", "--weights", "hf-hub:a/b"], 2, "hub id as the model"),
        (["export", "test_vit", "--input-shape", "1,x"], 2, "numbers"),
        (["inspect", "nothing.ptl"], 2, "no file"),
        (["models", "rsnet18"], 2, "Did you mean"),
        (["export", "test_vit", "--bogus"], 2, "No such option"),
    ],
)
def test_mistakes_get_one_paragraph(
    tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_traceback_on_demand(tmp_path: Path) -> None:
    assert "Traceback" in run("inspect", "nothing.ptl", "--traceback", cwd=tmp_path).stderr


def test_read_only_commands(tmp_path: Path, default_artifact) -> None:
    shown = run("inspect", str(default_artifact.path), cwd=tmp_path)
    assert shown.returncode == 0
    assert "prepacked::conv2d_clamp_run x54" in " ".join(shown.stdout.split())
    listed = json.loads(run("models", "efficientnet_lite0", "--json", cwd=tmp_path).stdout)
    assert {m["name"]: m["weights"] for m in listed}["tf_efficientnet_lite0"] == "package"
    assert "static-xnnpack" in run("recipes", cwd=tmp_path).stdout
    doctor = run("doctor", cwd=tmp_path)
    assert doctor.returncode == 0
    assert "XNNPACK" in doctor.stdout


@pytest.mark.parametrize(
    ("given", "spread"),
    [
        (
            ["--install", "android_demo", "ios_demo"],
            ["--install", "android_demo", "--install", "ios_demo"],
        ),
        (["--install", "a", "export", "m"], ["--install", "a", "export", "m"]),
        (
            ["export", "m", "--install", "a", "-o", "b"],
            ["export", "m", "--install", "a", "-o", "b"],
        ),
    ],
)
def test_install_takes_several(given: list[str], spread: list[str]) -> None:
    assert exporter.cli._spread_install(given) == spread


def test_install_refuses_other_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither an Android"):
        models_folder(tmp_path)
    (tmp_path / "Podfile").touch()
    source = tmp_path / "x.ptl"
    source.write_bytes(b"x")
    source.chmod(0o644)
    installed = install(source, tmp_path)
    assert installed == tmp_path / "Models" / "x.ptl"
    assert installed.stat().st_mode & 0o777 == 0o644, "others build the app too"


def test_doctor_on_a_torch_that_cannot() -> None:
    finding = environment.torch_finding("2.13.0")
    assert finding.ok is False
    assert "2.12" in finding.advice
    assert environment.torch_finding("2.5.1+cpu").ok is False
    assert environment.torch_finding("2.12.1+cu130").ok
    assert environment.xnnpack_finding(False).ok is False
    assert environment.engines_finding(["fbgemm"]).ok is False


def test_export_refuses_in_the_doctors_words(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("torch.__version__", "2.13.0")
    with pytest.raises(UnsuitableTorch, match=r"torch 2.12 is the last"):
        exporter.export("test_vit", random_weights=True, out=tmp_path / "o")
    assert not (tmp_path / "o").exists()
