from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime_check import cli
from runtime_check.testing.archives import with_golden, with_records

TRUST = "--trust-factory"
EAGER = ("bench", "FILE", "--against", "eager", "--threads", "1", "--rounds", "3")


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> tuple[str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    out, err = capsys.readouterr()
    assert (ended.value.code or 0) == code, out + err
    return out, err


def damaged(source: Path, target: Path) -> Path:
    def shift(golden: dict[str, Any]) -> None:
        golden["cases"] = golden["cases"][::-1]
        golden["cases"][0]["expected"] = golden["cases"][1]["expected"]

    return with_golden(source, target, shift)


def test_a_bare_file_is_checked(
    tensor_ptl: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page, data = tmp_path / "r.html", tmp_path / "r.json"
    common = (str(tensor_ptl.path), TRUST, "-p", "golden", "-p", "parity", "--examples", "3")
    out, _ = run(capsys, *common, "--report", str(page), code=0)
    assert re.search(r"pass +golden +2 inputs", out)
    assert "PROVEN on host" in out
    html = page.read_text(encoding="utf-8")
    assert "small_classifier" in html
    assert not re.search(r"(src|href)=|<script", html)
    out, _ = run(capsys, *common, "--report", str(data), "--json", code=0)
    assert json.loads(out)["passed"] is True
    assert json.loads(out)["ledger_row"]["stage"] == "host lite"
    assert json.loads(data.read_text())["properties"][1]["comparison"]["ok"] is True


def test_a_parity_failure_exits_with_1_and_is_shown_in_full(
    tensor_ptl: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = damaged(tensor_ptl.path, tmp_path / "bad.ptl")
    out, _ = run(capsys, str(path), "-p", "golden", code=1)
    assert "FAIL" in out
    assert "worst value at" in out
    assert "would pass with: atol" in out
    assert "FAILED on host: golden (differs)" in out


def test_a_counterexample_replays_from_the_command_it_prints(
    build_tensor_ptl: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from runtime_check.testing.models import ModelRecipe

    net = ModelRecipe("depthwise", 2, 16, True, False, "relu", 32, 9).build()
    made = build_tensor_ptl(tmp_path / "other.ptl", net=net)
    found = tmp_path / "found"
    reference = ("--reference", "runtime_check.testing.models:small_classifier")
    out, _ = run(
        capsys, str(made.path), *reference, "-p", "parity", "--counterexamples", str(found),
        "--examples", "3", code=1,
    )  # fmt: skip
    assert "smallest input that fails" in out
    (saved,) = found.glob("*.npz")
    out, _ = run(capsys, str(made.path), *reference, "--replay", str(saved), code=1)
    assert "FAILED on host: parity (differs)" in out


def test_strict_fails_without_a_reference(
    tensor_ptl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    common = (str(tensor_ptl.path), "-p", "golden", "-p", "parity")
    out, _ = run(capsys, *common, code=0)
    assert "REPLAYED, NOT PROVEN on host" in " ".join(out.split())
    run(capsys, *common, "--strict", code=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.ptl"], "There is no file absent.ptl"),
        (["check", "absent.ptl"], "There is no file"),
        (["FILE", "--property", "beauty"], "--property is one of golden, metadata"),
        (["FILE", "--profile", "lazy"], "--profile is one of ci, nightly, not 'lazy'"),
        (["FILE", "--run-on", "arm64"], "--run-on is one of host, arm64-2.1.0"),
        (["FILE", "--runtime", "arm64-2.1.0"], "--runtime is called --run-on now."),
        (["check", "FILE", "--runtime=host"], "--runtime is called --run-on now."),
        (["bench", "FILE", "--runtime", "host"], "--runtime is called --run-on now."),
        (["FILE", "--reference", "resnet0"], "no model called 'resnet0'"),
        (["FILE", "--reference", "no.such:thing"], "No module named"),
        (["FILE", "--reference", ""], "--reference takes a timm name or package.module:factory"),
        (["FILE", "--replay", "absent.npz"], "absent.npz is not there. `--replay` takes"),
        (["FILE", "--replay", "."], ". is a folder. `--replay` takes"),
        (["FILE", "--replay", "x.npz", "-p", "golden"], "--property has no meaning beside"),
        (["."], ". is a folder. Give the .ptl file in it."),
        (["n" * 300], "File name too long"),
        (["FILE", "--memory", "nan"], "--memory takes GiB"),
        (["FILE", "--seed", str(2**70)], "--seed takes a whole number from 0"),
        (["FILE", "--timeout", "inf"], "at most 604800 s, and"),
        (["FILE", "--deadline", "nan"], "at most 604800 s, and"),
        (["fuzz", "FILE", "--timeout", "nan"], "at most 604800 s, and"),
        (["FILE", "--count"], "--count is for emulated device runtimes"),
        (["FILE", "--report", "rep.txt"], "--report takes a file that ends in .html or .json"),
        (["FILE", "--report", "."], "--report takes a file"),
        (["FILE", "--report", "/proc/x.json"], "--report: cannot write /proc/x.json"),
        (["FILE", "--counterexamples", "/proc/x"], "--counterexamples: cannot write in"),
        (["FILE", "--propertie", "golden"], "There is no option --propertie. Did you mean --prop"),
        (["bench", "--import", "x.json", "--against", "eager"], "--against has no meaning without"),
        (["bench", "--import", "x.json", "--rounds", "9"], "--rounds has no meaning without a fi"),
        (["bench", "FILE", "--reference", "x"], "--reference has no meaning without --against"),
        (["bench", "FILE", "--reference", ""], "--reference has no meaning without --against"),
        ([*EAGER, "--reference", ""], "--reference takes a timm name or package.module:factory"),
        ([*EAGER, "--reference", "resnet0"], "no model called 'resnet0'"),
        ([*EAGER, "--reference", "no.such:thing"], "No module named"),
        ([*EAGER, TRUST, "--weights", "absent.pt"], "There is no weights file absent.pt"),
        ([*EAGER, "--verify-key", "absent.pub"], "no public key in absent.pub"),
        (["fuzz", "FILE", "--verify-key", "absent.pub"], "no public key in absent.pub"),
        (["bench", "--import", "x.json", "--verify-key", "x"], "--verify-key has no meaning"),
        (["bench", "FILE", "--peer-python", "eager=x"], "goes with --against eager"),
        (["bench", "FILE", "--plot", "a.png"], "--plot takes a file that ends in .svg"),
        (["fuzz", "FILE", "--memory", "inf"], "--memory takes GiB"),
        (["fuzz", "FILE", "--keep", "/proc/x"], "--keep: cannot write in /proc/x"),
        (["bench"], "Nothing to time"),
        (["bench", "FILE", "--against", "tflite"], "--against is one of eager, onnxruntime"),
        (["bench", "FILE", "--threads", "many"], "'--threads'"),
        (["bench", "FILE", "--threads", "0"], "'--threads'"),
        (["fuzz", "absent.ptl"], "There is no file"),
    ],
)
def test_usage_errors_are_one_paragraph_and_exit_with_2(
    tensor_ptl: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    named = [str(tensor_ptl.path) if a == "FILE" else a for a in arguments]
    _, err = run(capsys, *named, code=2)
    assert words in " ".join(err.split())
    assert "Traceback" not in err


def test_traceback_is_there_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    from runtime_check import UnreadableArtifact

    for arguments in (["--traceback", "absent.ptl"], ["absent.ptl", "--traceback"]):
        with pytest.raises(UnreadableArtifact):
            cli.main(arguments)


def test_fuzz(tensor_ptl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "fuzz", str(tensor_ptl.path), "--mutations", "18", code=0)
    assert "18 damaged copies" in out
    assert "Every copy got a verdict." in out


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runtime_check", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in ("check", "bench", "device", "fuzz"):
        assert name in done.stdout


def test_a_verdict_says_who_signed(
    signed_ptl: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    common = (str(signed_ptl.path), "-p", "golden")
    out, _ = run(capsys, *common, code=0)
    assert f"signed (key id {signed_ptl.key_id}, not verified)" in out
    assert "signed by" not in out
    report = tmp_path / "r.json"
    out, _ = run(capsys, *common, "--verify-key", signed_ptl.key, "--report", str(report), code=0)
    assert f"; signed by {signed_ptl.key_id}." in " ".join(out.split())
    assert json.loads(report.read_text())["signature"] == {
        "key_id": signed_ptl.key_id, "comment": "small, schema 2.0", "verified": True,
    }  # fmt: skip


def test_what_nobody_vouched_for_is_refused_before_it_is_used(
    tensor_ptl: Any, signed_ptl: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = ("--verify-key", signed_ptl.key)
    for words in ([], ["bench"], ["fuzz", "--mutations", "9"]):
        _, err = run(capsys, *words, str(tensor_ptl.path), *key, code=2)
        assert "is not signed" in " ".join(err.split())
    # Not a file that could be read: the signature is looked at first.
    wrong: dict[str, bytes | None] = {"bytecode.pkl": b"", "extra/metadata.json": b""}
    path = with_records(signed_ptl.path, tmp_path / "a.ptl", wrong)
    _, err = run(capsys, str(path), *key, code=2)
    said = f"{path} is not vouched for by key {signed_ptl.key_id}"
    assert "".join(said.split()) in "".join(err.split())  # lines end wherever the path does
    assert "its record bytecode.pkl was changed after it was signed" in " ".join(err.split())
    _, err = run(capsys, str(path), "--verify-key", "absent.pub", code=2)
    assert "no public key in absent.pub" in " ".join(err.split())
