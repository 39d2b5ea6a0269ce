"""Measure what preprocessing in the graph costs for photos of phone sizes.

    python -m tests.benchmarks.photo [--rounds N]

Five ways from a photo (uint8, height x width x 3) to a network's input: the shipped module, which
resizes as Pillow does with matrix products; torch's antialiasing kernel in strips of rows, rounded
in between as Pillow does; the same kernel on the whole photo at once, as float and as uint8 (which
torch has since 2.1), all as lite files in the lite interpreter; and Pillow with timm's transform in
Python. Each takes a photo of 0.3, 2 and 12 megapixels in a fresh process on one thread; contestants
take turns, and medians and paired ratios over the rounds are shown. Pillow starts from its own
image: what decodes a photo gives one. Instructions are of torch 2.1.0's ARM64 build, where
`python -m runtime_check device install` has put it. Writes `photo.md` beside this file.
"""

# No `from __future__ import annotations` here: TorchScript reads annotations as objects.
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor

from exporter.environment import one_thread
from exporter.image.preprocess import (
    MAX_SIDE,
    MIN_SIDE,
    Preprocess,
    PreprocessingDifference,
    measure_preprocessing,
)
from exporter.image.samples import PHOTOS, photo
from exporter.options import DEFAULT_MODEL
from exporter.quiet import quiet
from runtime_check.artifact.metadata import Preprocessing
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.device.runner import open_runner
from runtime_check.reference.reference import timm_transform
from tests.benchmarks.memory import PEAK, RESIDENT, forget_peak, memory
from tests.lite import write_lite

HERE = Path(__file__).parent
# Height and width of what cameras and decoders give: 0.3, 2 and 12 megapixels.
SIZES = ((480, 640), (1224, 1632), (3000, 4000))
SHIPPED, PILLOW = "in the graph, as shipped", "Pillow"
STRIPS = "in the graph, torch's kernel in strips"
WHOLE, BYTES = "in the graph, torch's kernel", "in the graph, torch's kernel for uint8"
_REPEATS = 5


class _Whole(Preprocess):
    """One resize of the whole photo with torch's float kernel, as people write it first."""

    def resize(self, image: Tensor, height: int, width: int) -> Tensor:
        """Resize uint8 `[H, W, 3]` in one go and return its center."""
        photo = image.permute(2, 0, 1).unsqueeze(0).to(torch.float32)
        whole = torch.ops.aten._upsample_bicubic2d_aa(photo, [height, width], False, None, None)
        top, tall = self.window(height, self.crop_h)
        left, wide = self.window(width, self.crop_w)
        center: Tensor = whole[:, :, top : top + tall, left : left + wide]
        return torch.floor(center + 0.5).clamp(0.0, 255.0)


class _Strips(Preprocess):
    """torch's float kernel in strips of rows, rounded between width and height as Pillow does."""

    def resize(self, image: Tensor, height: int, width: int) -> Tensor:
        """Resize uint8 `[H, W, 3]`, width first, and return its center."""
        strips: list[Tensor] = []
        for part in image.split(self.resample.strip_pixels // image.shape[1]):
            photo = part.permute(2, 0, 1).unsqueeze(0).to(torch.float32)
            size = [part.shape[0], width]
            narrow = torch.ops.aten._upsample_bicubic2d_aa(photo, size, False, None, None)
            strips.append(torch.floor(narrow + 0.5).clamp(0.0, 255.0))
        size = [height, width]
        whole = torch.ops.aten._upsample_bicubic2d_aa(torch.cat(strips, 2), size, False, None, None)
        top, tall = self.window(height, self.crop_h)
        left, wide = self.window(width, self.crop_w)
        center: Tensor = whole[:, :, top : top + tall, left : left + wide]
        return torch.floor(center + 0.5).clamp(0.0, 255.0)


class _Bytes(Preprocess):
    """One resize of the whole photo with torch's uint8 kernel."""

    def resize(self, image: Tensor, height: int, width: int) -> Tensor:
        """Resize uint8 `[H, W, 3]` in one go and return its center."""
        photo = image.permute(2, 0, 1).unsqueeze(0)
        whole = torch.ops.aten._upsample_bicubic2d_aa(photo, [height, width], False, None, None)
        top, tall = self.window(height, self.crop_h)
        left, wide = self.window(width, self.crop_w)
        center: Tensor = whole[:, :, top : top + tall, left : left + wide]
        return center.to(torch.float32)


def spec_of(name: str) -> Preprocessing:
    """Return how timm's evaluation prepares photos for the model `name`."""
    import timm
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(timm.create_model(name))
    known = {key: config[key] for key in Preprocessing.model_fields if key in config}
    return Preprocessing.model_validate({**known, "in_graph": True})


def make_photo(height: int, width: int) -> Image.Image:
    """Return a packaged photo at this size."""
    small = Image.fromarray(photo(PHOTOS[0]))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def _job(kind: str, path: Path, spec: Preprocessing, image: Image.Image) -> Callable[[], Tensor]:
    if kind == PILLOW:
        transform = timm_transform(spec)
        return lambda: transform(image).unsqueeze(0)
    from runtime_check.runtimes.lite import load_lite

    pixels = torch.from_numpy(np.array(image))
    module: Callable[[Tensor], Tensor] = load_lite(path)
    return lambda: module(pixels)


def prepare_once(kind: str, path: Path, spec: Preprocessing, size: Sequence[int]) -> dict[str, Any]:
    """Prepare one photo here, several times; return milliseconds and how far memory grew."""
    warm, image = make_photo(64, 64), make_photo(*size)
    with quiet(), one_thread(), torch.inference_mode():
        # Memory that any first call takes, whatever the photo.
        _job(kind, path, spec, warm)()
        job = _job(kind, path, spec, image)
        forget_peak()
        before, times = memory()[RESIDENT], []
        for _ in range(_REPEATS):
            started = time.perf_counter()
            job()
            times.append(1e3 * (time.perf_counter() - started))
        return {"ms": statistics.median(times), "peak": memory()[PEAK] - before}


def _run(kind: str, path: Path, spec: Path, size: Sequence[int]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.photo", "--one", kind, str(path)]
    command += [str(spec), *map(str, size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _differences(
    spec: Preprocessing, modules: Mapping[str, Preprocess], size: tuple[int, int]
) -> dict[str, PreprocessingDifference]:
    """Return how far each module is from Pillow."""
    image = np.array(make_photo(*size))
    with torch.inference_mode():
        return {
            kind: measure_preprocessing(spec, [image], preprocess=module)
            for kind, module in modules.items()
        }


def _instructions(path: Path, size: tuple[int, int]) -> int | None:
    """Count what one photo costs on the phone's runtime; None where that is not installed."""
    try:
        with open_runner(count=True) as session:
            session.load(path)
            return session.forward([np.array(make_photo(*size))], repeats=2).instructions
    except DeviceUnavailable as error:
        print(f"no instructions: {error}", file=sys.stderr)
        return None


def render(
    found: Mapping[tuple[int, int], Mapping[str, Sequence[Mapping[str, float]]]],
    differences: Mapping[tuple[int, int], Mapping[str, PreprocessingDifference]],
    instructions: Mapping[tuple[int, int], Mapping[str, int | None]],
    *,
    spec: Preprocessing,
    rounds: int,
) -> str:
    """Lay the results out as Markdown."""
    out = [
        "# Preprocessing in the graph",
        "",
        f"From a photo to the {spec.input_size[1]} x {spec.input_size[2]} input of {DEFAULT_MODEL} "
        f"({spec.interpolation}), one thread; medians of {rounds} interleaved rounds, a fresh "
        f"process each; torch {torch.__version__}, Pillow {PIL.__version__}, load average "
        f"{os.getloadavg()[1]:.1f}; `python -m tests.benchmarks.photo`. Memory is the peak "
        "above the photo itself. Gray levels are the largest distance from Pillow on this photo, "
        "then the share of values that differ. Instructions are exact.",
        "",
        "| photo | | ms | / Pillow, paired | peak MB | gray levels off | values off | "
        "ARM64 M instructions |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (height, width), runs in found.items():
        for kind, own in runs.items():
            pairs = zip(own, runs[PILLOW], strict=True)
            ratio = statistics.median(a["ms"] / b["ms"] for a, b in pairs)
            off = differences[height, width].get(kind)
            cost = instructions[height, width].get(kind)
            out.append(
                f"| {height * width / 1e6:.1f} MP, {width} x {height} | {kind} | "
                f"{statistics.median(run['ms'] for run in own):.1f} | {ratio:.2f} | "
                f"{statistics.median(run['peak'] for run in own) / 1e6:.1f} | "
                f"{'' if off is None else f'{off.max_levels:.1f}'} | "
                f"{'' if off is None else f'{off.differing:.2%}'} | "
                f"{'' if cost is None else f'{cost / 1e6:.1f}'} |"
            )
    out += [
        "",
        "torch's kernel for uint8 is far faster here, where it uses AVX2, and takes the least "
        "memory. It is not shipped: ARM64 phones have its plain form, it is further from Pillow, "
        "and runtimes before 2.1 lack it.",
    ]
    return "\n".join(out) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and write `photo.md` beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--one", nargs=5, metavar=("KIND", "FILE", "SPEC", "H", "W"), help="a fresh process's part"
    )
    options = parser.parse_args(arguments)
    if options.one:
        kind, path, text, *size = options.one
        given = Preprocessing.model_validate_json(Path(text).read_text(encoding="utf-8"))
        print(json.dumps(prepare_once(kind, Path(path), given, [int(n) for n in size])))
        return 0
    spec = spec_of(DEFAULT_MODEL)
    limits = {"min_side": MIN_SIDE, "max_side": MAX_SIDE}
    modules = {
        SHIPPED: Preprocess(spec, **limits),
        STRIPS: _Strips(spec, **limits),
        WHOLE: _Whole(spec, **limits),
        BYTES: _Bytes(spec, **limits),
    }
    kinds = (*modules, PILLOW)
    found: dict[tuple[int, int], dict[str, list[dict[str, float]]]] = {
        size: {kind: [] for kind in kinds} for size in SIZES
    }
    with tempfile.TemporaryDirectory() as scratch:
        stated = Path(scratch) / "spec.json"
        stated.write_text(spec.model_dump_json(), encoding="utf-8")
        paths = {kind: Path(scratch) / f"{index}.ptl" for index, kind in enumerate(kinds)}
        for kind, module in modules.items():
            write_lite(module, paths[kind])
        for turn in range(options.rounds):
            shift = turn % len(kinds)
            for size, runs in found.items():
                for kind in kinds[shift:] + kinds[:shift]:
                    runs[kind].append(_run(kind, paths[kind], stated, size))
            print(f"round {turn + 1} of {options.rounds}", file=sys.stderr, flush=True)
        instructions = {
            size: {kind: _instructions(paths[kind], size) for kind in modules} for size in SIZES
        }
    with one_thread():
        differences = {size: _differences(spec, modules, size) for size in SIZES}
    text = render(found, differences, instructions, spec=spec, rounds=options.rounds)
    print(text)
    (HERE / "photo.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
