"""Each example runs as a person would run it, in its own process, and prints what it should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

EXAMPLES = Path(__file__).parent


def run(example: str, *arguments: str, cwd: Path) -> str:
    """Run an example with `cwd` as its working folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / example), *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_timm_model(tmp_path: Path) -> None:
    printed = run("timm_model.py", "out", cwd=tmp_path)
    assert (tmp_path / "out" / "tf_efficientnet_lite0.ptl").exists()
    assert re.search(r"\.ptl: 18\.\d MB, max \|d\| \d\.\de-0[67] from eager", printed)
    assert len(re.findall(r"% .*cat", printed)) == 3
    assert "loaded again: tf_efficientnet_lite0" in printed


def test_own_module_and_parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = run("own_module.py", "out", cwd=tmp_path)
    answers = re.findall(r"(.+): (.+) \d+\.\d%", printed)
    assert len(answers) == 3
    assert all(label == answer for label, answer in answers)
    assert "clothes_by_name.ptl: own_module:make" in printed

    # ... and the next example tests that file, as an app team's suite would.
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES), prepend=os.pathsep)
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")  # theirs, not ours
    command = [sys.executable, "-m", "pytest", "-q", "-c", "pytest.ini", f"--confcutdir={EXAMPLES}"]
    suite = [str(EXAMPLES / "parity_in_your_suite.py"), "--artifact", "out/clothes_by_name.ptl"]
    done = subprocess.run(
        [*command, *suite, "--artifact-trust-factory", "--artifact-examples", "5"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "9 passed, 2 skipped" in done.stdout


@pytest.mark.slow
def test_int8_on_photos(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("astronaut", "chelsea", "rocket"):
        photo = Image.fromarray(np.asarray(getattr(skimage.data, name)())).convert("RGB")
        for index, left in enumerate((0, 40, 80, 120)):
            photo.crop((left, 0, left + 300, 300)).save(photos / f"{name}{index}.png")
    printed = run("int8_on_photos.py", str(photos), "out", cwd=tmp_path)
    stages = dict(re.findall(r"^(.+?) +(\d+\.\d) dB$", printed, re.MULTILINE))
    assert float(stages["prepared"]) > 90
    assert 15 < float(stages["saved + reloaded"]) < 60
    assert len(re.findall(r"\.png: .+ \d+\.\d%", printed)) == 3


@pytest.mark.slow
def test_deit_to_phones(tmp_path: Path) -> None:
    """The tutorial's claims: where hand-made files are wrong, and what each step gains."""
    apps = {name: tmp_path / name for name in ("android_demo", "ios_demo")}
    (apps["android_demo"] / "app" / "src" / "main").mkdir(parents=True)
    (apps["ios_demo"] / "Models").mkdir(parents=True)
    install = [part for app in apps.values() for part in ("--install", str(app))]
    printed = run("deit_to_phones.py", "--out", str(tmp_path / "out"), *install, cwd=tmp_path)

    assert "eager says Sneaker" in printed
    assert "script says Sneaker" in printed
    assert "trace says Sneaker" not in printed
    [refusal] = re.findall(r"^  refused: (.*)$", printed, re.MULTILINE)
    assert "deit_to_phones.py:" in refusal, "the line of the branch"
    errors = dict(re.findall(r"of (a.* trace) with batch norms: max \|d\| (\S+)", printed))
    assert float(errors["a trace"]) > 1e-2, "torch has fixed pytorch#76807: say so"
    assert float(errors["a frozen trace"]) < 1e-5

    pattern = r"^(.+?) +(\S+e[-+]\d+) +(\S+) +(\S+)(?: +(\d+\.\d))? +(\d+\.\d)%$"
    rows = re.findall(pattern, printed, re.MULTILINE)
    assert len(rows) == 12
    sqnr = {step: float(db) for step, _, db, *_ in rows}
    mb = {step: float(size) for step, *_, size, _ in rows if size}
    accuracy = {step: float(share) for step, *_, share in rows}
    assert sqnr["scripted, optimized, saved"] > 100
    assert sqnr["exporter, float32"] > 100
    assert sqnr["static, FX mode, all operators"] < sqnr["static, FX mode, layers"] - 3
    assert sqnr["exporter, static"] > 20
    assert mb["exporter, static"] < 0.4 * mb["exporter, float32"]
    assert all(abs(share - accuracy["eager float32"]) < 2 for share in accuracy.values())

    assert (apps["android_demo"] / "app/src/main/assets/clothes_static.ptl").exists()
    assert (apps["ios_demo"] / "Models/clothes_static.ptl").exists()
