"""The photo's way into the network for ExecuTorch: `Preprocess` to the bit, sizes kept open.

`torch.export` takes no loop over a size and no branch on a tensor, so `image.preprocess` is written
anew here. Sizes that decide shapes are integer expressions of height and width; all else (starts,
weights) is tensors of float64. Padding is weights of zero.

The rest of its shape follows from what the kernels of ExecuTorch 1.5 cost on ARM64, in instructions
a value:
- Matrix products, copies of long runs, sums and quotients of equal shapes or along the last
  dimension, operators with a number: 1 to 3. `hardtanh` 6, `clamp` 9.
- Comparisons, `floor` and `round`, other broadcasting, conversions, pixels of an `index_select`: 25
  to 45. `permute` 70. Hence rounding by adding a large number, colors that are split by slicing a
  product's columns, uint8 that becomes float in a `cat`, and no transposed products (a `linear` is
  lowered to a `permute` and a product).
- `sum` adds float64 as float32. Division by one value multiplies by its inverse, which rounds
  elsewhere; here both sides of a division have several.

Million instructions for 224 x 224 bicubic, one thread: 96 x 144 pixels 8, 480 x 640 31 and
1080 x 1920 110; `Preprocess` in torch's lite runtime takes 13 and 41 for the first two. Planned
memory for sides up to 2048: 22 MB, 13 of them the photo; small networks read more at once, 39 MB
for 24 x 24. Tried, not used:
- Columns taken by slices that start at symbols: 27 million instead of 32 at 480 x 640, but four
  times the time to lower, and torch asserts that a slice is not the whole photo.
- Starts taken out of tensors (`item`): lowering guards on their value, and fails.
- A delegate (XNNPACK) for the products: planning keeps all its inputs, 248 MB for 2048 x 2048.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import hardtanh, linear

from ..image.preprocess import Preprocess
from ..image.resample import BLOCK, STEPS

# Adding and subtracting these rounds to whole numbers, halves to even.
_ROUND_FLOAT = 1.5 * 2.0**23
_ROUND_DOUBLE = 1.5 * 2.0**52


def _float64(value: float) -> Tensor:
    return torch.scalar_tensor(value, dtype=torch.float64)


def _gray_levels(sums: Tensor) -> Tensor:
    """Round multiples of 2^-15 to 8 bits, halves up."""
    # The same as `clamp`, in 6 instructions instead of 9.
    return hardtanh(sums, 0.0, 255.0) + 0.5 / STEPS + _ROUND_FLOAT - _ROUND_FLOAT


def _round_down(values: Tensor) -> Tensor:
    """Round values of 0 to 256 that are whole, or at least 1/256 below the next whole number."""
    return values - (0.5 - 2.0**-9) + _ROUND_FLOAT - _ROUND_FLOAT


@dataclass(frozen=True, kw_only=True)
class _Window:
    """What one pass computes of one side; sizes are symbols while the graph is captured."""

    size: int  # of the photo
    target: int  # to resize to
    first: int  # of the target, that the network sees
    length: int  # that the network sees of it
    corner: int  # of the network's side on the target; below `first` where it is padded
    reach: int  # values that a block of outputs reads


class _Axis(nn.Module):
    """One pass of the resize, as `Resample`, for a network's side of `crop` values."""

    def __init__(self, crop: int, *, bicubic: bool, padded: bool, coarsest: float) -> None:
        super().__init__()
        self.crop = crop
        self.bicubic = bicubic
        self.padded = padded
        self.blocks = -(-crop // BLOCK)
        self.taps = 2 if bicubic else 1
        # The planner of memory takes it; from the sizes' symbols it would conclude far more.
        self.most_reach = int((BLOCK - 1 + 2 * self.taps) * coarsest) + 2 * self.taps + 2

    def window(self, size: int, target: int) -> _Window:
        """Place the network's side as `Preprocess.window` and `corner` do."""
        gap = torch.sym_max(target - self.crop, 0)
        # Half of it, halves to even: up where the gap is 3, 7, 11, ...
        first = gap // 2 + (gap % 4) // 3
        length = torch.sym_min(target, self.crop) if self.padded else self.crop
        reach = torch.sym_max(
            (BLOCK - 1 + 2 * self.taps) * size // target,
            (BLOCK - 1) * size // target + 2 * self.taps,
        )
        return _Window(
            size=size,
            target=target,
            first=first,
            length=length,
            corner=first - (self.crop - length) // 2,
            reach=torch.sym_min(torch.sym_min(reach + 2, size), self.most_reach),
        )

    def start(self, block: int, window: _Window) -> int:
        """Return where a block of outputs starts to read: `Resample.starts` in integers."""
        size, target = window.size, window.target
        head = block * BLOCK + window.corner
        if self.padded:
            head = torch.sym_max(head, window.first)
            head = torch.sym_min(head, window.first + window.length - 1)
        above = size * (2 * head + 1) + target - 2 * self.taps * torch.sym_max(size, target)
        start: int = torch.sym_min(torch.sym_max(above, 0) // (2 * target), size - window.reach)
        return start

    def forward(self, window: _Window) -> tuple[Tensor, Tensor, Tensor]:
        """Return starts, int64 `[blocks]`, and what goes with them.

        Weights, float `[blocks, BLOCK, reach]`, and 1 where the picture lies on the network's side
        and 0 where that is padded, float `[blocks x BLOCK]`.
        """
        size, target = _float64(window.size), _float64(window.target)
        scale = _float64(window.size / window.target)
        outputs = torch.arange(0, self.blocks * BLOCK, dtype=torch.float64)
        outputs = outputs.clamp(max=self.crop - 1) + _float64(window.corner)
        seen = torch.maximum(outputs, _float64(window.first))
        seen = torch.minimum(seen, _float64(window.first + window.length - 1))
        inside = (seen == outputs).to(torch.float32)
        heads = seen.view(self.blocks, BLOCK)[:, 0]
        above = size * (2.0 * heads + 1.0) + target
        above = (above - 2.0 * self.taps * torch.maximum(size, target)).clamp(min=0.0)
        low = torch.floor(above / (torch.zeros_like(above) + 2.0 * target))
        start = torch.minimum(low, _float64(window.size - window.reach))
        value = start.view(-1, 1) + torch.arange(0, window.reach, dtype=torch.float64) + 0.5
        value = torch.cat([value] * BLOCK, 1).view(self.blocks * BLOCK, -1)
        center = ((seen + 0.5) * scale).view(-1, 1)
        wide = torch.zeros_like(center) + scale.clamp(min=1.0)
        weights = self.rounded(self.kernel((value - center).abs() / wide), window.reach)
        if self.padded:
            weights = weights * inside.view(-1, 1)
        return start.to(torch.int64), weights.view(self.blocks, BLOCK, -1), inside

    def kernel(self, x: Tensor) -> Tensor:
        """Weigh distances; either piece is 0 where the other applies."""
        if not self.bicubic:
            return (1.0 - x).clamp(min=0.0)
        inner, outer = x.clamp(max=1.0), x.clamp(1.0, 2.0)
        near = (1.5 * inner - 2.5) * inner * inner + 1.0
        far = (((outer - 5.0) * outer + 8.0) * outer - 4.0) * -0.5
        return near + far

    def rounded(self, weights: Tensor, reach: int) -> Tensor:
        """Make each row's running sums multiples of 2^-15 that end at 1; to float32."""
        total = weights.cumsum(-1).narrow(1, reach - 1, 1)
        running = (weights / total).cumsum(-1) * STEPS
        running = (running + _ROUND_DOUBLE - _ROUND_DOUBLE) / STEPS
        zero = torch.zeros_like(total)
        return (running - torch.cat([zero, running.narrow(1, 0, reach - 1)], 1)).to(torch.float32)


class _Alpha(nn.Module):
    """`Resample.weighted` and `unweighted` without a branch for a photo of the right size.

    There, `same` is 1, else 0: colors are then multiplied by 255 / 255 and stay as they are, and a
    resize to the same size changes nothing.
    """

    spread: Tensor
    colors: Tensor
    opaque: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Alpha to the three colors; alpha itself is multiplied by 255 / 255 always.
        self.register_buffer("spread", torch.tensor([[0.0, 0.0, 0.0, 1.0]] * 3 + [[0.0] * 4]))
        self.register_buffer("colors", torch.tensor([1.0, 1.0, 1.0, 0.0]))
        self.register_buffer("opaque", torch.tensor([0.0, 0.0, 0.0, 255.0]))

    def weighted(self, part: Tensor, same: Tensor) -> Tensor:
        """Multiply the colors of float `[rows, columns x 4]` by their alpha."""
        pixels = part.view(-1, 4)
        by = linear(pixels, self.spread * (1.0 - same), self.opaque + self.colors * (255.0 * same))
        product = pixels * by + 128.0
        product = _round_down((_round_down(product / 256.0) + product) / 256.0)
        return product.view(part.shape[0], -1)

    def unweighted(self, levels: Tensor, same: Tensor) -> Tensor:
        """Divide the colors of float `[4, pixels]` by their alpha."""
        alpha = levels[3:]
        # Alpha is whole, so this is 0 or 1.
        shown = alpha.clamp(max=1.0) * (1.0 - same)
        parts = []
        for color in range(3):
            plane = levels[color : color + 1]
            divided = (plane * 255.0 / alpha.clamp(min=1.0)).clamp(max=255.0)
            parts.append(_round_down(divided) * shown + plane * (1.0 - shown))
        return torch.cat([*parts, alpha])


class ExportablePreprocess(nn.Module):
    """Resize, crop, scale and normalize one image inside the graph, height and width open.

    Input: uint8 `[H, W, C]`, sides of 8 to `max_side`. Output: float `[1, C, h, w]`, normalized.
    """

    fill: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, preprocess: Preprocess, max_side: int) -> None:
        super().__init__()
        ours, bicubic = preprocess, preprocess.resample.bicubic
        self.mode, self.channels, self.max_side = ours.mode, ours.channels, max_side
        self.min_side, self.max_aspect = ours.min_side, ours.max_aspect
        self.scale_h, self.scale_w = ours.scale_h, ours.scale_w
        self.crop_h, self.crop_w = ours.crop_h, ours.crop_w
        fit = self.mode == "border"
        # A fit rounds the short side to at least 1, at most 3/2 times as coarse as the long one.
        least = min(ours.scale_h, ours.scale_w) / 1.5
        self.across, self.down = (
            _Axis(
                crop,
                bicubic=bicubic,
                padded=fit or scale < crop,
                coarsest=max_side / (least if fit else scale),
            )
            for crop, scale in ((ours.crop_w, ours.scale_w), (ours.crop_h, ours.scale_h))
        )
        self.alpha = _Alpha() if ours.channels == 4 else None
        self.register_buffer("fill", torch.tensor(ours.fill, dtype=torch.float32).view(-1, 1))
        # A row each, not one value: of one color, that would be one value.
        self.register_buffer("mean", ours.mean.detach().view(-1, 1).repeat(1, ours.crop_h))
        self.register_buffer("std", ours.std.detach().view(-1, 1).repeat(1, ours.crop_h))

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size to resize to, as `Preprocess.target_size` does."""
        if self.mode == "squash":
            return self.scale_h, self.scale_w
        if self.mode == "center" and self.scale_h == self.scale_w:
            return (
                torch.sym_max(self.scale_h, self.scale_w * height // width),
                torch.sym_max(self.scale_w, self.scale_h * width // height),
            )
        # Of the two ratios the larger or the smaller one counts. ExecuTorch compares integers
        # alone, so both sizes are rounded first, which changes nothing: rounding keeps the order.
        ratios = height / self.scale_h, width / self.scale_w
        high, other_high = (round(height / ratio) for ratio in ratios)
        wide, other_wide = (round(width / ratio) for ratio in ratios)
        if self.mode == "border":
            target_h, target_w = torch.sym_min(high, other_high), torch.sym_min(wide, other_wide)
        else:
            target_h, target_w = torch.sym_max(high, other_high), torch.sym_max(wide, other_wide)
        return torch.sym_max(1, target_h), torch.sym_max(1, target_w)

    def excess(self, height: int, width: int) -> int:
        """Return 0, or an index out of range for a photo beyond the limits."""
        short, long = torch.sym_min(height, width), torch.sym_max(height, width)
        small = torch.sym_max(self.min_side - short, 0)
        narrow = torch.sym_max(long - self.max_aspect * short, 0)
        excess: int = (small + narrow + torch.sym_max(long - self.max_side, 0)) * (
            self.max_side + 1
        )
        return excess

    def forward(self, image: Tensor) -> Tensor:
        """Turn uint8 `[H, W, C]` into the network's float `[1, C, h, w]`."""
        height, width = image.shape[0], image.shape[1]
        target_h, target_w = self.target_size(height, width)
        columns = self.across.window(width, target_w)
        rows = self.down.window(height, target_h)
        starts, weights, inside_h = self.down(rows)
        first = self.down.start(0, rows)
        last = self.down.start(self.down.blocks - 1, rows) + rows.reach
        same = torch.zeros(1)
        if self.alpha is not None:
            apart_h, apart_w = height - target_h, width - target_w
            changed = apart_h * apart_h + apart_w * apart_w  # ExecuTorch has no power of sizes
            same = 1.0 - torch.scalar_tensor(torch.sym_min(changed, 1), dtype=torch.float32)
        tall = torch.sym_min(height, last - first)
        narrow, inside_w = self.narrow(image, columns, first, tall, same)
        starts = starts + torch.scalar_tensor(self.excess(height, width) - first, dtype=torch.int64)
        index = starts.view(-1, 1) + torch.arange(0, rows.reach)
        parts = narrow.index_select(0, index.reshape(-1)).view(self.down.blocks, rows.reach, -1)
        levels = self.planes(torch.bmm(weights, parts).view(self.down.blocks * BLOCK, -1))
        if self.alpha is not None:
            levels = self.alpha.unweighted(levels, same)
        if self.mode == "border":
            inside = inside_h[: self.crop_h].view(-1, 1), inside_w[: self.crop_w].view(1, -1)
            levels = levels + torch.mm(self.fill, (1.0 - torch.mm(*inside)).view(1, -1))
        levels = levels.view(self.channels * self.crop_h, self.crop_w)
        levels = (levels - self.mean.view(-1, 1)) / self.std.view(-1, 1)
        return levels.view(1, self.channels, self.crop_h, self.crop_w)

    def narrow(
        self, image: Tensor, window: _Window, first: int, tall: int, same: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Resize the width of `tall` rows of uint8 `[H, W, C]`, the `first` one on.

        Float `[tall + 1, blocks x C x BLOCK]`, the last row without meaning; and what `_Axis` says
        of padding.
        """
        starts, weights, inside = self.across(window)
        index = starts.view(-1, 1) + torch.arange(0, window.reach)
        matrices = self.colored(weights, window.reach)
        reach = window.reach * self.channels
        # `cat` converts to float, and takes no time for it, where there is a float among its parts.
        ground = torch.zeros(1, reach, dtype=torch.float32)
        blocks = []
        for block in range(self.across.blocks):
            part = image.index_select(1, index[block]).view(image.shape[0], reach)
            part = torch.cat([part.narrow(0, first, tall), ground])
            if self.alpha is not None:
                part = self.alpha.weighted(part, same)
            blocks.append(torch.mm(part, matrices[block]))
        return _gray_levels(torch.cat(blocks, 1)), inside

    def colored(self, weights: Tensor, reach: int) -> Tensor:
        """Spread `[blocks, BLOCK, reach]` over colors that alternate in memory.

        `[blocks, reach x C, C x BLOCK]`: from the values of a color, the outputs of that color.
        """
        columns = weights.transpose(1, 2).reshape(-1, BLOCK)
        # A value's rows, a color each, one after the other: W 0 0, 0 W 0, 0 0 W.
        gap = torch.zeros(self.across.blocks * reach, BLOCK * self.channels)
        spread = torch.cat([columns, *[gap, columns] * (self.channels - 1)], 1)
        return spread.view(self.across.blocks, reach * self.channels, BLOCK * self.channels)

    def planes(self, sums: Tensor) -> Tensor:
        """Sort `[rows, blocks x C x BLOCK]` by color, and round: `[C, h x w]`."""
        sums = sums[: self.crop_h].reshape(self.crop_h * self.across.blocks, -1)
        planes = []
        for color in range(self.channels):
            plane = sums[:, color * BLOCK : (color + 1) * BLOCK].reshape(self.crop_h, -1)
            planes.append(plane[:, : self.crop_w].reshape(1, -1))
        return _gray_levels(torch.cat(planes))


def exportable_preprocess(preprocess: Preprocess, max_side: int) -> nn.Module:
    """Return a module that does what `preprocess` does, to the bit, and that `torch.export` takes.

    ExecuTorch drops what a graph asserts. A photo beyond the limits on sides and on their ratio is
    an index out of range here: an `IndexError`, and in ExecuTorch error 0x12, invalid argument (or
    0x10, where planned memory does not hold the photo). A side of 0 has to be caught before: the
    arithmetic of sizes divides by it.
    """
    return ExportablePreprocess(preprocess, max_side).eval()


def capture_preprocess(preprocess: Preprocess, max_side: int) -> torch.export.ExportedProgram:
    """Capture it for sides of up to `max_side`.

    Lower it with `EdgeCompileConfig(_check_ir_validity=False)`, which is checked before symbols
    become operators, and with no partitioner.
    """
    side = torch.export.Dim
    module = exportable_preprocess(preprocess, max_side)
    image = torch.zeros(96, 144, preprocess.channels, dtype=torch.uint8)
    # Wider than the limits: else the graph's own checks of these would be dropped as being true.
    sides = {0: side("height", min=2, max=max_side + 1), 1: side("width", min=2, max=max_side + 1)}
    return torch.export.export(
        module,
        (image,),
        dynamic_shapes=(sides,),
        strict=False,
        prefer_deferred_runtime_asserts_over_guards=True,
    )
