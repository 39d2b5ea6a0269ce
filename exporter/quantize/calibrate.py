"""Fix ranges and roundings from calibration images, and refuse what would calibrate nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from runtime_check.metrics import CLASSES, Metric

from ..errors import CalibrationError
from ..progress import Listener, silent
from ..recipes import WeightRounding
from ..rewrites.watch import Example, arguments, hooks
from .evaluate import device_of, noise, on_device, run_batches
from .place import CalibrationChoice, Simulated
from .ranges import CLIPPINGS, Clipping

# Neighboring pixels of a photo are alike; of noise they are not. Correlation below this, on
# average over the images, means neither photo nor drawing nor scan. Photos measure 0.9 and more.
_LEAST_CORRELATION = 0.3
# Images on which ways to cut ranges and to round are compared, each of which costs one pass over
# them: as many as have the values of sixteen of 224 x 224, and no less.
_LEAST_TO_CHOOSE_BY, _MOST_TO_CHOOSE_BY = 16, 64
_VALUES_TO_CHOOSE_BY = 16 * 3 * 224 * 224
# Values per channel below which a mean says more about the images than about int8.
_VALUES_FOR_A_MEAN = 256


def neighbor_correlation(batch: Tensor) -> float:
    """Return the mean correlation between horizontally neighboring pixels of N,C,H,W images.

    1 for a constant image: flat is not noise.
    """
    left, right = batch[..., :-1].flatten(2).double(), batch[..., 1:].flatten(2).double()
    left = left - left.mean(-1, keepdim=True)
    right = right - right.mean(-1, keepdim=True)
    power = (left.square().sum(-1) * right.square().sum(-1)).sqrt()
    correlation = torch.where(power > 0, (left * right).sum(-1) / power.clamp_min(1e-30), 1.0)
    return float(correlation.mean())


def images_in(batch: Example) -> int:
    """Count the images of a batch; the arguments of a network of several inputs are one."""
    return len(batch) if isinstance(batch, Tensor) else 1


def first_image(batch: Example) -> Example:
    """Return one image of a batch; of a network of several inputs, its arguments."""
    return batch[:1] if isinstance(batch, Tensor) else batch


def check_calibration(batches: Sequence[Example], *, allow_noise: bool = False) -> int:
    """Return the number of images; raise CalibrationError for none, for NaN, and for noise.

    Noise gives ranges that no photo has. `allow_noise` accepts it anyway (random weights, a
    smoke test).
    """
    count = sum(images_in(batch) for batch in batches)
    if not count:
        raise CalibrationError(
            "There is no calibration image. Static int8 takes its ranges from images: give a "
            "folder of 50 to 500 typical ones (--calibration DIR)."
        )
    for batch in batches:
        if not all(bool(torch.isfinite(tensor).all()) for tensor in arguments(batch)):
            raise CalibrationError(
                "A calibration batch holds NaN or infinity. Check the preprocessing."
            )
    pictures = [b for b in batches if isinstance(b, Tensor) and b.dim() == 4]
    if allow_noise or len(pictures) < len(batches):
        return count
    correlation = sum(neighbor_correlation(b) * len(b) for b in pictures) / count
    if correlation < _LEAST_CORRELATION:
        raise CalibrationError(
            f"The calibration images look like noise (neighboring pixels correlate by "
            f"{correlation:.2f}; photos by 0.9). Ranges taken from noise fit no photo. Give real "
            "images, or ask for noise by name (--calibration noise)."
        )
    if all(float(batch.std()) < 1e-6 for batch in pictures):
        raise CalibrationError(
            "All calibration images are one flat color. Give images of what the model will see."
        )
    return count


def calibrate(
    simulated: Simulated,
    calibration: Sequence[Example],
    *,
    metric: Metric = CLASSES,
    tell: Listener = silent,
) -> int:
    """Run the batches through and fix the ranges; return the number of images.

    What leaves the least noise in the outputs that `metric` is about is kept. Raises
    CalibrationError for no images, NotFinite for NaN.
    """
    simulated.watch_ranges(True)
    simulated.simulate(())
    images, total = 0, sum(images_in(batch) for batch in calibration)
    few: list[Example] = []
    device = device_of(simulated.module)
    with torch.no_grad():
        for batch in calibration:
            simulated.module(*on_device(arguments(batch), device))
            if images < (enough := _enough_to_choose_by(batch)):
                few.append(batch[: enough - images] if isinstance(batch, Tensor) else batch)
            images += images_in(batch)
            tell("calibrating", images, total)
    if not images:
        raise CalibrationError(
            "There was no calibration image. Static int8 takes its ranges from images: pass a "
            "folder of a few hundred typical ones (--calibration DIR)."
        )
    freeze_ranges(simulated)
    _choose_by_output(simulated, few, metric)
    # A network given single images may take no more, and the means of one say little.
    if isinstance(few[0], Tensor) and len(few[0]) > 1:
        _correct_means(simulated, torch.cat([b for b in few if isinstance(b, Tensor)]), metric)
    return images


def _enough_to_choose_by(batch: Example) -> int:
    values = sum(tensor.numel() for tensor in arguments(batch)) // images_in(batch)
    alike = _VALUES_TO_CHOOSE_BY // values
    return min(max(alike, _LEAST_TO_CHOOSE_BY), _MOST_TO_CHOOSE_BY)


def _choose_by_output(simulated: Simulated, batches: Sequence[Example], metric: Metric) -> None:
    """Keep the way to cut the ranges and to round weights with the least noise in the output.

    A histogram's least squared error per tensor is not the network's: the rare large activations
    that it cuts off carry a DINOv2 (24.9 dB with them, 17.7 without), while EfficientNet-Lite0 is
    better off without. The two are chosen together, because one makes up for the other.
    """
    recipe = simulated.recipe
    compensated = any("compensated" in layer.roundings for layer in simulated.layers.values())
    clippings: tuple[Clipping | None, ...] = CLIPPINGS if recipe.observer == "auto" else (None,)
    roundings: tuple[WeightRounding | None, ...] = (None,)
    if recipe.rounding == "auto" and compensated:
        roundings = ("compensated", "nearest")
    ways = [(clipping, rounding) for clipping in clippings for rounding in roundings]
    if len(ways) > 1:
        simulated.simulate(())
        power = []
        with torch.no_grad():
            reference = run_batches(simulated.module, batches)
            for way in ways:
                _set(simulated, *way)
                simulated.simulate(simulated.layers)
                power.append(noise(reference, run_batches(simulated.module, batches), metric))
        ways = [ways[power.index(min(power))]]
        _set(simulated, *ways[0])
        simulated.simulate(())
    ((clipping, rounding),) = ways
    simulated.choice = CalibrationChoice(clipping=clipping, rounding=rounding)


def _set(simulated: Simulated, clipping: Clipping | None, rounding: WeightRounding | None) -> None:
    for layer in simulated.layers.values():
        if clipping is not None:
            layer.clipping = clipping
        if rounding is not None and layer.roundings:
            layer.round_to(rounding)
    if clipping is not None:
        _settle_grids(simulated)


def _correct_means(simulated: Simulated, images: Tensor, metric: Metric = CLASSES) -> None:
    """Move each layer's outputs back to their float mean, where the network's output gains by it.

    Rounded weights, cut ranges and the layers before shift the mean of a channel; a bias undoes
    that for nothing (arXiv 1906.04721, appendix D). One pass, in which every layer already sees
    the layers before it corrected.
    """
    layers = simulated.layers
    before = {name: layer.bias_shift for name, layer in layers.items()}
    # Made before the passes: between their large tensors, small ones that stay would keep the
    # memory of those freed from being given back (benchmarks/export_cost shows it as peak).
    means = {
        name: layer.layer.weight.new_zeros(len(layer.layer.weight))
        for name, layer in layers.items()
    }
    shifts = {n: means[n].clone() if s is None else s.clone() for n, s in before.items()}
    calls: Counter[str] = Counter()
    enough: set[str] = set()

    def keep(name: str, _: object, out: Tensor) -> None:
        calls[name] += 1
        means[name].copy_(layers[name].output_mean(out))
        if out.numel() >= _VALUES_FOR_A_MEAN * len(layers[name].layer.weight):
            enough.add(name)

    with torch.no_grad():
        simulated.simulate(())
        with hooks(layers, after=keep):
            reference = run_batches(simulated.module, [images])
        simulated.simulate(layers)
        plain = noise(reference, run_batches(simulated.module, [images]), metric)
        for name, layer in layers.items():
            # A layer of several calls has several means; one of few values is these images' alone.
            if calls[name] == 1 and name in enough:
                layer.wanted_mean, layer.bias_shift = means[name], shifts[name]
        run_batches(simulated.module, [images])
        for layer in layers.values():
            layer.wanted_mean = None
        corrected = noise(reference, run_batches(simulated.module, [images]), metric)
    simulated.simulate(())
    if corrected < plain:
        simulated.choice = replace(simulated.choice, corrected_means=True)
        return
    for name, layer in layers.items():
        layer.bias_shift = before[name]


def freeze_ranges(simulated: Simulated) -> None:
    """Fix every grid from what was observed, and refine weights and biases.

    Neighbors that share a tensor share its grid. Weight scales are those of least error, and
    biases are corrected for the mean effect of rounding the weights.
    """
    simulated.watch_ranges(False)
    _settle_grids(simulated)
    for layer in simulated.layers.values():
        layer.settle_weight()


def _settle_grids(simulated: Simulated) -> None:
    for layer in simulated.layers.values():
        layer.settle()
    for layer in simulated.layers.values():
        if source := layer.reads_from or layer.on_grid_of:
            layer.settle(incoming=simulated.layers[source].grids[1])
    settle_gelus(simulated)


def settle_gelus(simulated: Simulated) -> None:
    """Fit each GELU to the grids that its neighbors have now."""
    for gelu in simulated.gelus.values():
        given = simulated.layers[gelu.source].grids[1]
        low, high = (given.scale * (code - given.zero_point) for code in (-128, 127))
        gelu.settle(low, high, simulated.layers[gelu.reader].grids[0].scale)
