"""What is cut off by paddings and folds is cut off in a program, too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.executorch.crops import plain_crops
from exporter.executorch.delegable import rewrite_program

from .programs import lowered, run


class Padded(nn.Module):
    """Pad, or cut, by sizes for left, right, top and bottom."""

    def __init__(
        self, sizes: tuple[int, ...], mode: str = "constant", value: float | None = None
    ) -> None:
        super().__init__()
        self.sizes, self.mode, self.value = sizes, mode, value

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * functional.pad(x, self.sizes, self.mode, self.value)


class Folded(nn.Module):
    """Put overlapping windows of 3 x 3 back onto a picture, as VOLO does."""

    def __init__(self, padding: int | tuple[int, int]) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return functional.fold(x, (8, 6), 3, padding=self.padding, stride=(2, 1))


@pytest.mark.parametrize("sizes", [(-1, -2, -3, -1), (2, -1, -2, 3), (-1, 0, 0, 0), (-2, -2)])
def test_a_padding_that_cuts_computes_the_same(sizes: tuple[int, ...]) -> None:
    x = torch.randn(1, 2, 7, 6)
    module = Padded(sizes, value=0.5)
    exported = torch.export.export(module, (x,))
    assert plain_crops(exported) == 1
    assert plain_crops(exported) == 0
    assert torch.equal(exported.module()(x), module(x))
    (found,) = run(lowered(module, x, plain_crops), [x])
    assert torch.equal(found, module(x))


def test_without_it_the_file_is_made_and_fails_when_it_runs() -> None:
    x = torch.randn(1, 2, 7, 6)
    with pytest.raises(RuntimeError, match="0x12"):
        run(lowered(Padded((-1, 0)), x), [x])


@pytest.mark.parametrize(
    ("sizes", "mode"), [((1, 2), "constant"), ((1, 1, 1, 1), "reflect"), ((-1, 1), "replicate")]
)
def test_other_paddings_stay(sizes: tuple[int, ...], mode: str) -> None:
    x = torch.randn(2, 3, 6) if len(sizes) == 2 else torch.randn(1, 3, 6, 6)
    module = Padded(sizes, mode)
    exported = torch.export.export(module, (x,))
    assert plain_crops(exported) == 0
    assert torch.equal(exported.module()(x), module(x))


@pytest.mark.parametrize("padding", [1, (1, 0), (0, 2)])
def test_windows_are_put_back_where_they_were_cut_out(padding: int | tuple[int, int]) -> None:
    """Compared with each window added to a padded picture by hand."""
    high, wide = (padding, padding) if isinstance(padding, int) else padding
    rows, columns = (8 + 2 * high - 3) // 2 + 1, 6 + 2 * wide - 3 + 1
    x = torch.randn(1, 4 * 9, rows * columns)
    picture = torch.zeros(1, 4, 8 + 2 * high, 6 + 2 * wide)
    windows = x.reshape(1, 4, 3, 3, rows, columns)
    for row in range(rows):
        for column in range(columns):
            place = picture[:, :, 2 * row : 2 * row + 3, column : column + 3]
            place += windows[:, :, :, :, row, column]
    by_hand = picture[:, :, high : high + 8, wide : wide + 6]
    (found,) = run(lowered(Folded(padding), x, rewrite_program), [x])
    torch.testing.assert_close(found, by_hand)
