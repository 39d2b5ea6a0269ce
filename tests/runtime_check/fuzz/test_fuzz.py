import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime_check import RuntimeCheckError, UnreadableArtifact, UnsupportedSchema, read_artifact
from runtime_check.artifact.metadata import GOLDEN_RECORD, METADATA_RECORD
from runtime_check.fuzz import fuzz
from runtime_check.fuzz.fuzz import fuzz_file
from runtime_check.fuzz.mutate import MUTATORS, Mutation, mutate, plan_mutations
from runtime_check.runtimes.host import open_host
from runtime_check.runtimes.lite import write_lite
from runtime_check.runtimes.run import ChildDied
from runtime_check.testing.archives import (
    lying_bomb,
    records_of,
    with_golden,
    with_metadata,
    with_records,
    zip_bomb,
)


def refused(path: Path) -> str:
    with pytest.raises(RuntimeCheckError) as caught:
        read_artifact(path)
    message = str(caught.value)
    assert path.name in message
    assert len(message) < 600
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.ptl", b"", "is empty"),
        ("random.ptl", bytes(range(256)) * 40, "not a zip archive"),
        ("program.pte", b"\x00\x00\x00\x00ET12" + b"\0" * 64, "ExecuTorch program"),
        ("flat.ptl", b"\x00\x00\x00\x00PTMF" + b"\0" * 64, "flatbuffer"),
        ("old.pt", b"\x80\x02}q\x00." * 9, "is a pickle"),
    ],
)
def test_wrong_formats_are_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert words in refused(path)


def test_torchscript_and_checkpoints_are_named(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.ReLU()).save(str(tmp_path / "script.pt"))
    assert "TorchScript" in refused(tmp_path / "script.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "weights.pth")
    assert "without lite-interpreter bytecode" in refused(tmp_path / "weights.pth")
    refused_absent = tmp_path / "absent.ptl"
    with pytest.raises(UnreadableArtifact, match="There is no file"):
        read_artifact(refused_absent)


def test_a_plain_lite_file_is_not_an_artifact(tmp_path: Path) -> None:
    path = tmp_path / "plain.ptl"
    write_lite(torch.jit.script(torch.nn.ReLU()), path)
    assert "not made by this exporter" in refused(path)


def test_a_file_that_torch_2_13_made() -> None:
    """Made by torch 2.13.0 for real: Conv2d(3, 4, 3), ReLU, Flatten, Linear(144, 5), seed 0.

    2.13 cannot optimise for XNNPACK, so it is a plain file; this torch runs it, but nobody can
    say what it should compute.
    """
    path = Path(__file__).parents[2] / "data" / "torch-2.13.ptl"
    with pytest.raises(UnreadableArtifact, match="not made by this exporter"):
        read_artifact(path)
    with open_host(path) as session:
        (output,) = session.forward([np.zeros((1, 3, 8, 8), np.float32)]).outputs
    assert output.shape == (1, 5)
    assert np.isfinite(output).all()


def test_zip_bombs_are_not_unpacked(tmp_path: Path) -> None:
    assert "zip bomb" in refused(zip_bomb(tmp_path / "bomb.ptl"))
    assert "damaged" in refused(lying_bomb(tmp_path / "lying.ptl", megabytes=64))


def test_two_records_of_one_name_are_refused(tensor_ptl: Any, tmp_path: Path) -> None:
    path = tmp_path / "double.ptl"
    path.write_bytes(tensor_ptl.path.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        # torch finds records without regard to case, so this one could be what it reads.
        archive.writestr(f"{root}/BYTECODE.PKL", b"another program")
    assert "two records of the same name" in refused(path)


def test_a_flipped_bit_in_a_weight_is_seen(tensor_ptl: Any, tmp_path: Path) -> None:
    data = bytearray(tensor_ptl.path.read_bytes())
    with zipfile.ZipFile(tensor_ptl.path) as archive:
        info = max(
            (i for i in archive.infolist() if ".storage" in i.filename), key=lambda i: i.file_size
        )
    data[info.header_offset + 200] ^= 1
    path = tmp_path / "flipped.ptl"
    path.write_bytes(bytes(data))
    assert "Bad CRC-32" in refused(path)


def test_a_newer_major_schema_is_refused_and_a_newer_minor_read(
    tensor_ptl: Any, tmp_path: Path
) -> None:
    def newer(version: str) -> Callable[[dict[str, Any]], None]:
        return lambda metadata: metadata.update(schema_version=version, unheard_of=[1, 2])

    path = with_metadata(tensor_ptl.path, tmp_path / "major.ptl", newer("2.0"))
    with pytest.raises(UnsupportedSchema, match=r"2\.0, this release reads 1\.x\. Update"):
        read_artifact(path)
    read_artifact(with_metadata(tensor_ptl.path, tmp_path / "minor.ptl", newer("1.7")))


@pytest.mark.parametrize("record", [METADATA_RECORD, GOLDEN_RECORD, "bytecode.pkl"])
@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[" * 100_000, b"\xff\xfe", b"{}"])
def test_damaged_records_are_named(
    tensor_ptl: Any, tmp_path: Path, record: str, content: bytes
) -> None:
    path = with_records(tensor_ptl.path, tmp_path / "a.ptl", {record: content})
    with pytest.raises(UnreadableArtifact):
        read_artifact(path)


def test_a_missing_record_is_named(tensor_ptl: Any, tmp_path: Path) -> None:
    path = with_records(tensor_ptl.path, tmp_path / "a.ptl", {GOLDEN_RECORD: None})
    assert "golden.json" in refused(path)


def test_golden_bytes_must_fit_their_shape(tensor_ptl: Any, tmp_path: Path) -> None:
    def stretch(golden: dict[str, Any]) -> None:
        golden["cases"][0]["inputs"][0]["shape"] = [2**40, 2**40]

    path = with_golden(tensor_ptl.path, tmp_path / "a.ptl", stretch)
    with pytest.raises(UnreadableArtifact, match=r"holds .* bytes"):
        read_artifact(path).golden.cases[0].inputs[0].array()


def test_a_pickle_in_the_file_never_runs(tensor_ptl: Any, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    attack = b"cpathlib\nPath.touch\n(cpathlib\nPath\n(V" + str(marker).encode() + b"\ntRtR."
    for record in ("bytecode.pkl", "constants.pkl"):
        path = with_records(tensor_ptl.path, tmp_path / "a.ptl", {record: attack})
        with suppress(RuntimeCheckError):
            read_artifact(path)
    assert not marker.exists()


def test_mutations_repeat_and_damage(tensor_ptl: Any) -> None:
    data = tensor_ptl.path.read_bytes()
    assert plan_mutations(30, 4) == plan_mutations(30, 4) != plan_mutations(30, 5)
    for kind in MUTATORS:
        damaged = [mutate(data, Mutation(kind, seed)) for seed in range(4)]
        assert damaged == [mutate(data, Mutation(kind, seed)) for seed in range(4)]
        assert any(copy != data for copy in damaged)


def test_repacking_alone_changes_nothing(tensor_ptl: Any, tmp_path: Path) -> None:
    path = with_records(tensor_ptl.path, tmp_path / "same.ptl", {})
    assert records_of(path) == records_of(tensor_ptl.path)
    assert read_artifact(path).metadata == read_artifact(tensor_ptl.path).metadata


@pytest.mark.parametrize("seed", [61])
def test_thousands_of_damaged_copies_all_get_a_verdict(image_ptl: Any, seed: int) -> None:
    result = fuzz_file(image_ptl.path, mutations=1350, seed=seed, timeout=30)
    assert result, result.findings
    counts = {kind: sum(found.values()) for kind, found in result.outcomes.items()}
    assert set(counts.values()) == {150}
    assert result.outcomes["truncate"] == {"refused": 150}
    # Blind damage is caught by the archive's own checksums; nothing slips through to be run.
    assert set(result.outcomes["flip bits"]) <= {"refused", "same"}
    assert all(len(f.message) < 700 and "Traceback" not in f.message for f in result.samples)


def test_a_crash_of_the_loader_is_a_finding(image_ptl: Any, tmp_path: Path) -> None:
    result = fuzz_file(image_ptl.path, mutations=90, seed=1, timeout=30, keep=tmp_path / "kept")
    crashes = [f for f in result.findings if f.outcome == "crashed"]
    assert len(crashes) == result.restarts
    assert all("stayed in a child process" in f.message for f in crashes)
    assert len(list((tmp_path / "kept").glob("*.ptl")) if crashes else []) == len(crashes)


def test_what_loads_but_computes_otherwise_is_detected(tensor_ptl: Any, tmp_path: Path) -> None:
    name, weights = max(
        ((n, d) for n, d in records_of(tensor_ptl.path).items() if n.endswith(".storage")),
        key=lambda pair: len(pair[1]),
    )
    other = (np.frombuffer(weights, np.float32) * np.float32(1.5)).tobytes()
    path = with_records(tensor_ptl.path, tmp_path / "other.ptl", {name: other})
    from runtime_check.checking import check_artifact

    report = check_artifact(path, properties=["golden"], folder=tmp_path)
    assert not report
    assert "golden vector" in report.results[0].reason


@pytest.mark.parametrize(
    ("died", "outcome"),
    [
        (ChildDied("nobody is still here", expired=False), "crashed"),
        (ChildDied("it took too long", expired=True), "hung"),
    ],
)
def test_hanging_and_crashing_are_told_apart_by_value_not_by_wording(
    died: ChildDied, outcome: str, tensor_ptl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = read_artifact(tensor_ptl.path)

    class Loader:
        memory = 2**30
        lost_sessions = 0

        def get(self) -> Any:
            raise died

        def lost(self) -> None:
            self.lost_sessions += 1

    loader = Loader()
    assert fuzz._judge(tensor_ptl.path, clean, [], loader)[0] == outcome  # type: ignore[arg-type]
    assert loader.lost_sessions == 1
