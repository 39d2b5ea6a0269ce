"""Rung 2: `swift test` on Linux, on the shared golden files and on real model files."""

from __future__ import annotations

import base64
import json
import re
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from exporter.package.keys import make_keys
from exporter.package.sign import sign
from runtime_check.bench.format import read_bench

from ...artifacts import Models
from .by_task import export_every_task
from .core import Core
from .tools import GOLDEN, PACKAGE, ROOT, Swift

# Debian's libswiftObservation refers to a symbol that no library of its has; it is not needed.
TEST = ["swift", "test", "--disable-xctest", "-Xlinker", "--allow-shlib-undefined"]


def passed_tests(output: str) -> int:
    """Count the tests of a run that passed; fail with its last lines when it did not."""
    summary = re.search(r"Test run with (\d+) tests? passed", output)
    told = [line for line in output.splitlines() if "✘" in line or "error:" in line]
    assert summary, "\n".join(told[:30]) or output[-3000:]
    return int(summary.group(1))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """One build folder: what a test has compiled the next one need not."""
    return ["--scratch-path", str(tmp_path_factory.mktemp("build"))]


def test_the_package_alone_passes_on_the_golden_files(swift: Swift, scratch: list[str]) -> None:
    """Without TORCH_ROOT there is no torch and no Apple framework in it, as in Xcode."""
    done = swift.run(
        [*TEST, *scratch],
        cwd=PACKAGE,
        env={"GOLDEN_DIR": str(GOLDEN)},
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert passed_tests(done.stdout + done.stderr) >= 110


def test_a_changed_golden_file_fails_the_swift_tests(
    swift: Swift, scratch: list[str], tmp_path: Path
) -> None:
    """The tests read the files and can fail: one flipped verdict, one wrong index."""
    folder = tmp_path / "golden"
    subprocess.run(["cp", "-r", str(GOLDEN), str(folder)], check=True)
    top = folder / "top_k.json"
    vectors = json.loads(top.read_text(encoding="utf-8"))
    vectors["vectors"][0]["indices"] = [0, 1]
    top.write_text(json.dumps(vectors), encoding="utf-8")
    checks = folder / "golden_checks.json"
    text = json.loads(checks.read_text(encoding="utf-8"))
    text["checks"][0]["passes"] = False
    checks.write_text(json.dumps(text), encoding="utf-8")
    done = swift.run(
        [*TEST, *scratch],
        cwd=PACKAGE,
        env={"GOLDEN_DIR": str(folder)},
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "topIndicesOfPython() failed" in output
    assert "verdictOfPython(check:) failed" in output


def test_a_golden_file_that_cannot_be_read_fails_the_swift_tests(
    swift: Swift, scratch: list[str], tmp_path: Path
) -> None:
    """A parameterized test without arguments would run nothing and pass."""
    folder = tmp_path / "golden"
    subprocess.run(["cp", "-r", str(GOLDEN), str(folder)], check=True)
    (folder / "golden_checks.json").unlink()
    (folder / "contract/index.json").write_text("no JSON", encoding="utf-8")
    done = swift.run([*TEST, *scratch], cwd=PACKAGE, env={"GOLDEN_DIR": str(folder)})
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "verdictOfPython(check:) recorded an issue" in output
    assert "verdictOfTheIndex(entry:) recorded an issue" in output


# Refuses another order of its inputs: an int64 has no place where a bool was.
EVERY_DTYPE = """
import torch, warnings; warnings.simplefilter("ignore")
from typing import List
from torch import Tensor, nn

class Same(nn.Module):
    def forward(
        self, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor
    ) -> List[Tensor]:
        assert a.dtype == torch.uint8 and b.dtype == torch.int32 and c.dtype == torch.int64
        assert d.dtype == torch.float32 and e.dtype == torch.float64 and f.dtype == torch.bool
        return [a.clone(), b.clone(), c.clone(), d.clone(), e.clone(), f.clone()]

torch.jit.script(Same())._save_for_lite_interpreter("same.ptl")
"""


@pytest.fixture(scope="module")
def every_dtype(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that returns its six inputs, of every type of the contract, as a list."""
    folder = tmp_path_factory.mktemp("dtypes")
    # In a file: TorchScript compiles from the source.
    (folder / "same.py").write_text(EVERY_DTYPE, encoding="utf-8")
    subprocess.run([sys.executable, "same.py"], cwd=folder, check=True, timeout=300)
    return folder / "same.ptl"


def test_every_type_goes_through_the_runtime(
    swift: Swift, scratch: list[str], every_dtype: Path, torch_here: tuple[Path, str, list[str]]
) -> None:
    done = swift.run(
        [*TEST, *scratch, "--filter", "TensorTests"],
        cwd=PACKAGE,
        env={"TORCH_ROOT": str(torch_here[0]), "LITE_EVERY_DTYPE": str(every_dtype)},
    )
    assert passed_tests(done.stdout + done.stderr) == 1


@pytest.fixture(scope="module")
def every_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of every task, named like what the app shows it as."""
    folder = tmp_path_factory.mktemp("tasks")
    export_every_task(folder)
    return folder


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo as two sides and RGB bytes, which is what the Swift tests read."""
    picture = Image.open(ROOT / "exporter/data/photos/cat.png").convert("RGB")
    path = tmp_path_factory.mktemp("photo") / "photo.rgb"
    path.write_bytes(struct.pack("<II", *picture.size) + picture.tobytes())
    return path


@dataclass(frozen=True)
class EndToEnd:
    output: str
    benchmark: Path
    photo: np.ndarray


@pytest.fixture(scope="module")
def end_to_end(
    swift: Swift,
    scratch: list[str],
    models: Models,
    torch_here: tuple[Path, str, list[str]],
    every_dtype: Path,
    every_task: Path,
    photo: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> EndToEnd:
    folder = tmp_path_factory.mktemp("swift")
    # The models' folder may lie anywhere; Swift's own folder sees only what is mounted.
    shown = folder / "models"
    shown.mkdir()
    for path in (models.fp32, models.int8):
        (shown / path.name).write_bytes(path.read_bytes())
    done = swift.run(
        [*TEST, *scratch],
        cwd=PACKAGE,
        env={
            "TORCH_ROOT": str(torch_here[0]),
            "LITE_MODELS": str(shown),
            "LITE_PHOTO": str(photo),
            "LITE_EVERY_DTYPE": str(every_dtype),
            "LITE_TASKS": str(every_task),
            "LITE_BENCHMARK": str(folder / "benchmark.json"),
            "GOLDEN_DIR": str(GOLDEN),
        },
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    picture = Image.open(ROOT / "exporter/data/photos/cat.png").convert("RGB")
    return EndToEnd(output, folder / "benchmark.json", np.asarray(picture))


def test_every_task_is_shown_as_what_it_is(
    swift: Swift,
    scratch: list[str],
    every_task: Path,
    photo: Path,
    torch_here: tuple[Path, str, list[str]],
) -> None:
    """What the exporter wrote, run and read by the app's own code."""
    done = swift.run(
        [*TEST, *scratch, "--filter", "TaskTests"],
        cwd=PACKAGE,
        env={
            "TORCH_ROOT": str(torch_here[0]),
            "LITE_TASKS": str(every_task),
            "LITE_PHOTO": str(photo),
        },
    )
    output = done.stdout + done.stderr
    assert passed_tests(output) == 1
    shown = dict(re.findall(r"^shown (\w+) as (.+)$", output, re.M))
    named = {name: kind for name, kind in shown.items() if name != "classmap"}
    assert set(named) == {p.stem for p in every_task.glob("*.ptl")} - {"classmap"}
    for name, kind in named.items():
        assert kind.startswith(f"{name}: "), kind
    # The same scores on the network's picture and as classes of the photo's pixels.
    assert shown["classmap"] == shown["class_map"]
    assert re.fullmatch(r"class_map: (\w+ [\d.]+%(, )?)+", shown["class_map"])
    assert re.fullmatch(r"depth: Depth from \S+ to \S+ m", shown["depth"])
    assert re.match(r"boxes: 1 object: dog \d+\.\d%", shown["boxes"])
    assert re.fullmatch(r"numbers: output_0: \S+ years", shown["numbers"])
    assert "picture: float32 1 x 3 x 8 x 8, age: int64 1 x 1" in shown["two_inputs"]


def test_real_files_pass_end_to_end(end_to_end: EndToEnd) -> None:
    assert passed_tests(end_to_end.output) >= 115
    for name in ("tf_efficientnet_lite0.ptl", "lite0_int8.ptl"):
        assert re.search(
            rf"golden {name} on .*: Verified on this device: 5 of 5 golden inputs match Python;",
            end_to_end.output,
        )


@pytest.mark.parametrize("which", ["fp32", "int8"])
def test_swift_names_the_class_that_python_names(
    end_to_end: EndToEnd, models: Models, core: Core, which: str
) -> None:
    path: Path = getattr(models, which)
    told = re.search(rf"top-1 {path.name}: (\d+) ([\d.]+) (.+)", end_to_end.output)
    assert told
    model = core.open(path)
    (output,) = core.forward(model, [end_to_end.photo])
    core.close(model)
    assert int(told.group(1)) == int(output.argmax())
    assert told.group(3) == "Egyptian cat"


def test_the_benchmark_of_the_view_model_is_imported(end_to_end: EndToEnd) -> None:
    device = read_bench(end_to_end.benchmark).devices[0]
    assert {run.file for run in device.runs} == {"tf_efficientnet_lite0.ptl", "lite0_int8.ptl"}
    assert {run.quantization for run in device.runs} == {"none", "static"}
    assert [run.threads for run in device.runs] == [1, 2, 1, 2]
    assert all(run.peak_mb and run.load_ms and run.first_ms for run in device.runs)
    done = subprocess.run(
        [sys.executable, "-m", "runtime_check", "bench", "--import", str(end_to_end.benchmark)],
        capture_output=True, text=True, check=False, cwd=end_to_end.benchmark.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lite0_int8" in done.stdout


def deflated(count: int) -> list[dict[str, object]]:
    """Streams of deflate of every kind that zlib makes, some damaged, and what zlib says."""
    random = Random(0)
    found: list[dict[str, object]] = []
    for index in range(count):
        size = random.choice((0, 1, 2, 100, 5000, 70_000))
        letters = random.choice((1, 2, 20, 256))
        plain = bytes(random.randrange(letters) for _ in range(size))
        plain = plain + plain[: size // 2] * random.randrange(3)
        strategy = random.choice(
            (0, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED)
        )
        packer = zlib.compressobj(random.randrange(10), zlib.DEFLATED, -15, 9, strategy)
        packed = bytearray(packer.compress(plain) + packer.flush())
        if index % 3 == 2:
            packed[random.randrange(min(len(packed), 80))] ^= 1 << random.randrange(8)
        if index % 12 == 11:
            del packed[-1]
        unpacked = unpack(bytes(packed))
        answer = unpacked is not None and len(unpacked) == len(plain)
        found.append(
            {
                "packed": base64.b64encode(packed).decode(),
                "size": len(plain),
                "plain": base64.b64encode(unpacked or b"").decode() if answer else None,
            }
        )
    return found


def unpack(packed: bytes) -> bytes | None:
    """What zlib makes of it; None where that is nothing."""
    unpacker = zlib.decompressobj(-15)
    try:
        plain = unpacker.decompress(packed)
    except zlib.error:
        return None
    return plain if unpacker.eof else None


def test_real_signed_files_are_vouched_for(
    swift: Swift, scratch: list[str], models: Models, tmp_path: Path
) -> None:
    """Deflated by zlib and signed by the exporter; nothing of that is written for these tests."""
    keys = make_keys(tmp_path / "release")
    file = tmp_path / "signed.ptl"
    file.write_bytes(models.fp32.read_bytes())
    sign(file, keys.secret)
    vectors = tmp_path / "deflated.json"
    vectors.write_text(json.dumps(deflated(300)), encoding="utf-8")
    done = swift.run(
        [*TEST, *scratch, "--filter", "TrustTests"],
        cwd=PACKAGE,
        env={
            "GOLDEN_DIR": str(GOLDEN),
            "SIGNED_FILE": str(file),
            "SIGNED_KEY": keys.key.line,
            "DEFLATED": str(vectors),
        },
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    for name in ("whatTheExporterSignedIsVouchedFor", "inflatesAsZlibDoes", "verdictOfTheFixtures"):
        assert re.search(rf"✔ Test {name}\S* .*passed", output), output[-3000:]
