"""Put a map of classes onto the photo that the network saw a part of."""

# No `from __future__ import annotations` here: TorchScript reads the types of a function.
from __future__ import annotations

import torch
from torch import Tensor

# Pixels that the network did not see: the field's own number for them (PASCAL VOC, Cityscapes).
UNSEEN = 255


def onto_photo(
    classes: Tensor,
    photo: tuple[int, int],
    resized: tuple[int, int],
    corner: tuple[int, int],
    network: tuple[int, int],
    unseen: int = UNSEEN,
) -> Tensor:
    """Return the class of each of a photo's pixels, uint8 `[H, W]`; `unseen` where there is none.

    `classes` is uint8 `[rows, columns]` over the network's picture. `photo`, `resized` and
    `network` are heights and widths, `corner` is the top and left of the network's picture on the
    resized photo. A pixel takes the class of the cell that its middle lies in, as
    `runtime_check.artifact.geometry.Placement.cell_of` has it.
    """
    cells = [classes.shape[0], classes.shape[1]]
    places, seen = [], []
    for axis in range(2):
        middle = torch.arange(photo[axis], dtype=torch.float64) + 0.5
        on_network = middle * resized[axis] / photo[axis] - corner[axis]
        place = torch.floor(on_network * cells[axis] / network[axis])
        seen.append(torch.logical_and(place >= 0, place < cells[axis]))
        places.append(place.clamp(0, cells[axis] - 1).to(torch.int64))
    found = classes.index_select(0, places[0]).index_select(1, places[1])
    visible = torch.logical_and(seen[0].unsqueeze(1), seen[1].unsqueeze(0))
    return torch.where(visible, found, torch.full_like(found, unseen))
