"""
DeiT from Python to Android and iOS, step by step
=================================================

    python tests/examples/deit_to_phones.py [--out build/deit] [--install android_demo]

`DeiT <https://arxiv.org/abs/2012.12877>`_ is a vision transformer: patches of an image become
tokens, twelve blocks of attention and MLP mix them, and one token says what is in the image. Here
it goes to the phone by hand first, with nothing but PyTorch:

1. capture it as TorchScript, by tracing or by scripting, and see which of the two can be wrong;
2. optimize it for mobile, and see where that can be wrong;
3. quantize it: dynamic, static and quantization-aware training, in eager mode and in FX graph mode;
4. save it for the lite interpreter, PyTorch's runtime on phones.

Step 5 is one command that does all of this and checks it; step 6 puts the file into both apps.
Every step is measured, and the script ends with the table of what each one cost and gained.

Two models go through the same steps. `deit_tiny_patch16_224` has the size and speed people ship.
Its weights are random here, so that nothing is downloaded; ``pretrained=True`` gives you
Facebook's. The other is a small sibling, the same class of timm with six blocks of width 128,
trained on Fashion-MNIST (`own_module.py`): its accuracy is real.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from own_module import DATA, LABELS, MEAN, STD, make
from PIL import Image
from torch import Tensor, nn
from torch.ao import quantization as tq
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx, prepare_qat_fx
from torch.jit.mobile import _load_for_lite_interpreter
from torch.utils.mobile_optimizer import optimize_for_mobile

import exporter
from exporter.install import install
from runtime_check import Tolerance, compare

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("build/deit"))
parser.add_argument("--install", type=Path, action="append", default=[], metavar="APP")
arguments = parser.parse_args()
out: Path = arguments.out
out.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
torch.set_num_threads(1)
# The phone's int8 kernels. A computer's default engine packs weights that no phone can read.
torch.backends.quantized.engine = "qnnpack"
warnings.filterwarnings("ignore")  # TorchScript and torch.ao say that they are deprecated

# %%
# The models, the images, and how a step is measured
# --------------------------------------------------
#
# A cat and a rocket are for calibration, coffee is for measuring: what a quantized model does to
# the images it was calibrated on says little.

deit = timm.create_model("deit_tiny_patch16_224").eval()
clothes = make()
small = clothes.network
PHOTOS = Path(exporter.__file__).parent / "data" / "photos"


def crops(name: str, count: int) -> list[Image.Image]:
    """Cut random squares out of a photo."""
    photo, draw = Image.open(PHOTOS / f"{name}.png").convert("RGB"), np.random.default_rng(0)
    squares = []
    for _ in range(count):
        side = int(min(photo.size) * draw.uniform(0.5, 1))
        left, top = (int(draw.integers(0, length - side + 1)) for length in photo.size)
        squares.append(photo.crop((left, top, left + side, top + side)).resize((256, 256)))
    return squares


transform = timm.data.create_transform(**timm.data.resolve_data_config(model=deit))
calibration_photos = crops("cat", 8) + crops("rocket", 8)
calibration = torch.stack([transform(photo) for photo in calibration_photos])
photos = torch.stack([transform(photo) for photo in crops("coffee", 4)])
fashion = dict(np.load(DATA / "fashion_sample.npz"))  # 192 images to train on, 512 to test
train, test = (
    (torch.from_numpy(fashion[split])[:, None].float() / 255 - MEAN) / STD
    for split in ("train", "test")
)
test_labels = torch.from_numpy(fashion["test_labels"]).long()
with torch.no_grad():
    expected = torch.cat([deit(photo) for photo in photos.split(1)])

Network = Callable[[Tensor], Tensor]
table = [f"{'step':<32}{'max |d|':>9}{'SQNR dB':>9}{'ms':>7}{'MB':>7}{'accuracy':>10}"]


@torch.no_grad()
def measure(step: str, big: Network, little: Network, file: Path | None = None) -> None:
    """Add a line: `big` against eager on photos and its time; the accuracy of `little`."""
    outputs = torch.cat([big(photo) for photo in photos.split(1)])
    difference = compare([expected.numpy()], [outputs.numpy()], Tolerance())
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        big(photos[:1])
        seconds.append(time.perf_counter() - started)
    right = torch.cat([little(batch).argmax(1) for batch in test.split(64)]) == test_labels
    size = f"{file.stat().st_size / 1e6:.1f}" if file else ""
    line = (
        f"{step:<32}{difference.max_abs:>9.1e}{difference.sqnr_db:>9.1f}{1000 * min(seconds):>7.1f}"
    )
    table.append(f"{line}{size:>7}{right.float().mean():>10.1%}")
    print(f"  {step}: {1000 * min(seconds):.1f} ms", flush=True)


measure("eager float32", deit, small)

# %%
# 1. TorchScript: trace or script?
# --------------------------------
#
# The phone has no Python. `torch.jit.trace` runs the module once and records the operators it
# meets; `torch.jit.script` compiles the source, its `if` and `for` included. Both take DeiT.

traced, scripted = torch.jit.trace(deit, photos[:1]), torch.jit.script(deit)
measure("traced", traced, torch.jit.trace(small, test[:64]))
measure("scripted", scripted, torch.jit.script(small))

# %%
# A trace knows one path. The small model learned from clothes on a black background, so this module
# inverts pictures on a white one. Traced on a black background, it never will.


class AnyBackground(nn.Module):
    """Give the network a black background."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.black_and_white = (1 - 2 * MEAN) / STD  # 0 and 1, normalized, and added

    def forward(self, x: Tensor) -> Tensor:
        if x[:, :, 0].mean() > 0:  # the top row of pixels is background
            x = self.black_and_white - x
        return self.network(x)


any_background = AnyBackground(small).eval()
on_black = test[test_labels == LABELS.index("Sneaker")][:1]
on_white = (1 - 2 * MEAN) / STD - on_black
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    frozen = torch.jit.trace(any_background, on_black)
branching = torch.jit.script(any_background)
print("  a sneaker on white:")
for name, network in (("eager", any_background), ("trace", frozen), ("script", branching)):
    print(f"    {name} says {LABELS[network(on_white).argmax()]}")
print(f"  torch.jit.trace gave {len(caught)} warnings: timm's, and one that is about this")

# %%
# 2. Optimize for mobile
# ----------------------
#
# `optimize_for_mobile` freezes the module, folds batch norms into convolutions, and packs the
# weights of Conv2d and Linear for XNNPACK, the fast CPU kernels on phones.
#
# DeiT has no batch norm. In a trace of a network that has, behind convolutions without a bias, its
# folding has a bug and says nothing (https://github.com/pytorch/pytorch/issues/76807). Fold them
# yourself before you trace, freeze the trace first, or compare afterwards: always compare.

conv_net = nn.Sequential(
    *(nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
    *(nn.Conv2d(16, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
)
conv_net.train()(calibration)  # gives the batch norms statistics, as training does
conv_net.eval()
with torch.no_grad():
    right, trace = conv_net(photos[:1]), torch.jit.trace(conv_net, photos[:1])
    for how, network in (
        ("a trace", optimize_for_mobile(trace)),
        ("a frozen trace", optimize_for_mobile(torch.jit.freeze(trace))),
    ):
        difference = (network(photos[:1]) - right).abs().max()
        print(f"  optimize_for_mobile of {how} with batch norms: max |d| {difference:.1e}")

# %%
# 3. Quantize
# -----------
#
# Weights in int8 are a quarter of the size. Three ways to choose the ranges of activations:
#
# * dynamic: while the model runs, from each input. Needs nothing; Linear layers only.
# * static: once, from typical images, by observers (calibration).
# * quantization-aware training (QAT): as static, then the weights are trained with int8 simulated.
#
# And two ways to find the layers. Eager mode swaps modules and leaves the rest to you; FX graph
# mode rewrites the symbolically traced graph. Each variant becomes a file for the lite
# interpreter, and it is the file that is measured.


def save(network: nn.Module, name: str) -> tuple[Network, Path]:
    """Script, optimize and save a network for the lite interpreter; return the file, loaded."""
    file = out / f"{name.replace(', ', '_').replace(' ', '_')}.ptl"
    optimize_for_mobile(torch.jit.script(network))._save_for_lite_interpreter(str(file))
    loaded: Network = _load_for_lite_interpreter(str(file))
    return loaded, file


def try_it(step: str, quantized: Callable[[nn.Module, Tensor], nn.Module]) -> None:
    """Quantize both models in one way, save both, add the line."""
    big, file = save(quantized(copy.deepcopy(deit), calibration), f"deit {step}")
    little, _ = save(quantized(copy.deepcopy(small), train), f"clothes {step}")
    measure(step, big, little, file)


try_it("scripted, optimized, saved", lambda network, _: network)


def dynamic_eager(network: nn.Module, _: Tensor) -> nn.Module:
    return tq.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)


def dynamic_fx(network: nn.Module, images: Tensor) -> nn.Module:
    mapping = tq.QConfigMapping().set_object_type(nn.Linear, tq.default_dynamic_qconfig)
    return convert_fx(prepare_fx(network, mapping, (images[:1],)))


try_it("dynamic, eager mode", dynamic_eager)
try_it("dynamic, FX mode", dynamic_fx)

# %%
# Static. In eager mode `add_quant_dequant` puts stubs around every layer that has a qconfig.


@torch.no_grad()
def calibrate(network: nn.Module, images: Tensor) -> nn.Module:
    for batch in images.split(8):
        network(batch)
    return network


def static_eager(network: nn.Module, images: Tensor) -> nn.Module:
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.qconfig = tq.get_default_qconfig("qnnpack")
    return tq.convert(calibrate(tq.prepare(tq.add_quant_dequant(network)), images))


def static_fx(mapping: tq.QConfigMapping) -> Callable[[nn.Module, Tensor], nn.Module]:
    def quantized(network: nn.Module, images: Tensor) -> nn.Module:
        return convert_fx(calibrate(prepare_fx(network, mapping, (images[:1],)), images))

    return quantized


def only_layers(qconfig: tq.QConfig) -> tq.QConfigMapping:
    mapping = tq.QConfigMapping().set_object_type(nn.Linear, qconfig)
    return mapping.set_object_type(nn.Conv2d, qconfig)


try_it("static, eager mode", static_eager)

# %%
# FX mode's default quantizes whatever has an int8 operator: LayerNorm, softmax and additions,
# too. In a transformer a few large values then take the steps of all others. Limit it to the
# layers that pay.

try_it("static, FX mode, all operators", static_fx(tq.get_default_qconfig_mapping("qnnpack")))
try_it("static, FX mode, layers", static_fx(only_layers(tq.get_default_qconfig("qnnpack"))))

# %%
# Quantization-aware training. Without labels, the float model is the teacher (distillation). Two
# epochs of a few images only show how it is done, and leave DeiT noisier: QAT is worth its time
# where static loses accuracy and you have thousands of images.


def qat_fx(network: nn.Module, images: Tensor) -> nn.Module:
    teacher = copy.deepcopy(network)
    mapping = only_layers(tq.get_default_qat_qconfig("qnnpack"))
    student = prepare_qat_fx(network.train(), mapping, (images[:1],))
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-5, weight_decay=0)
    for _ in range(2):
        for batch in images[torch.randperm(len(images))].split(8):
            with torch.no_grad():
                wanted = teacher(batch)
            loss = nn.functional.mse_loss(student(batch), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return convert_fx(student.eval())


try_it("QAT, FX mode, layers", qat_fx)

# %%
# 4. Save for the lite interpreter
# --------------------------------
#
# `_save_for_lite_interpreter` wrote bytecode beside the weights; `_load_for_lite_interpreter` is
# what the phone does. That is the whole recipe, and what it leaves open is what goes wrong later:
#
# * Has the phone's runtime, often years older, every operator in the file, with these arguments?
# * Does the app resize and normalize photos as Python did? It is written again in Kotlin and Swift.
# * Which class is index 7? The file does not say.
# * Every layer here quantizes and dequantizes; no default chooses XNNPACK's faster int8 kernels.

# %%
# 5. The same by one command
# --------------------------
#
#     python -m exporter export deit_tiny_patch16_224
#     python -m exporter export deit_tiny_patch16_224 --quantize static --calibration PHOTOS
#
# or, in Python, `exporter.export`. It rewrites the graph where outputs stay the same, folds batch
# norms first, captures by evidence (a trace that would freeze a branch is refused), compares
# after every step, checks each operator against the phone's runtime, and verifies the saved file
# in a fresh process. First the trace from above that forgot a branch:

try:
    exporter.export(any_background, input_shape=(1, 1, 28, 28), capture="trace", out=out)
except exporter.ExportError as error:
    print(f"  refused: {error}")

# %%
# Then both models. DeiT takes tensors (`input="tensor"`) as the files above, to be compared.


def folder_of(images: Sequence[Image.Image], name: str) -> Path:
    """Write images as files, as photos would come."""
    (out / name).mkdir(exist_ok=True)
    for index, image in enumerate(images):
        image.save(out / name / f"{index:03d}.png")
    return out / name


deit_images = folder_of(calibration_photos, "photos")
clothes_images = folder_of([Image.fromarray(pixels) for pixels in fashion["train"]], "clothes")
for step, method in (("float32", None), ("static", "static")):
    big = exporter.export(
        deit,
        name=f"deit_tiny_{step}",
        input="tensor",
        quantize=method,
        calibration=method and deit_images,
        out=out,
    )
    # The small one as an app wants it: a photo of any size in, one probability per label out.
    little = exporter.export(
        clothes,
        name=f"clothes_{step}",
        labels=LABELS,
        input_shape=(1, 3, 28, 28),
        preprocessing=exporter.PreprocessingChoice(mean=(MEAN,) * 3, std=(STD,) * 3),
        quantize=method,
        calibration=method and clothes_images,
        out=out,
    )

    def classify(images: Tensor, artifact: exporter.Artifact = little) -> Tensor:
        """Give the artifact each picture as a camera would, uint8 RGB [H, W, 3]."""
        gray = ((images[:, 0, ..., None] * STD + MEAN) * 255).round().to(torch.uint8)
        return torch.stack([artifact(x.repeat(1, 1, 3)) for x in gray])

    measure(f"exporter, {step}", big, classify, big.path)

# %%
# What each step cost and gained
# ------------------------------
#
# Differences, times and sizes (with five golden inputs and outputs in the exporter's files) are
# DeiT's, on one thread. Accuracy is the small model's on 512 images, of which one is 0.2 points.

print("", *table, sep="\n")

# %%
# 6. To the phones
# ----------------
#
# Both apps take any such file: labels, sizes and tolerances come out of it, no code changes. They
# list what lies in `android_demo/app/src/main/assets` and in `ios_demo/Models`. Copy the file
# there, or let the command do it:
#
#     python -m exporter export NAME --install android_demo --install ios_demo
#
# Then open `android_demo` in Android Studio and run it; on a Mac, `pod install` in `ios_demo` and
# open `LiteDemo.xcworkspace`. At first start the app replays the golden images inside the file
# and shows whether this phone computes what Python computed. The README of each app says what was
# tested.
#
# Without a phone, `python -m runtime_check device install` builds its runtime for emulated ARM64,
# and `python -m runtime_check FILE --run-on arm64-2.1.0 --count` runs the file on it.

for app in arguments.install:
    print(f"installed: {install(out / 'clothes_static.ptl', app)}")
print(f"\nnext: python -m runtime_check {out / 'clothes_static.ptl'}")
