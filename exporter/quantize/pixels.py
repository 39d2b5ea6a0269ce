"""Training images decoded once: their pixels, as the network sees them, in a file that is mapped.

Small sets stay in memory, because the system keeps mapped files there while it has room, and
processes that read images share them. Where the disk has no room, images are decoded each time.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..image.batches import network_pixels
from ..image.folders import ImageFolder
from ..image.preprocess import Preprocess

# Photos resized together while a folder is opened.
_FLUSH = 256
# Of the temporary folder's free bytes, the cache takes at most this share.
_LARGEST_SHARE = 0.5


@dataclass(kw_only=True)
class PixelCache:
    """uint8 pixels `[N, C, h, w]` in a temporary file; one that does not fit stays empty.

    Images are added in order, up to `limit`; other processes open the file for themselves.
    """

    preprocess: Preprocess
    limit: int
    count: int = 0
    fits: bool = True
    _waiting: list[np.ndarray] = field(default_factory=list)
    _folder: Any = None  # removed with this object
    _map: np.ndarray | None = None

    def __post_init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="training-pixels-")
        needed = int(np.prod(self._shape, dtype=np.int64))
        self.fits = needed <= _LARGEST_SHARE * shutil.disk_usage(self._folder.name).free
        self.path = Path(self._folder.name) / "pixels"
        if self.fits:
            self._map = np.memmap(self.path, np.uint8, "w+", shape=self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        made = self.preprocess
        return (self.limit, made.channels, made.crop_h, made.crop_w)

    def add(self, photo: np.ndarray) -> None:
        """Take in a decoded photo, uint8 H,W,C."""
        if self.fits:
            self._waiting.append(photo)
            if len(self._waiting) >= _FLUSH:
                self.flush()

    def flush(self) -> None:
        """Resize and store what waits."""
        if self._map is not None and self._waiting:
            end = self.count + len(self._waiting)
            self._map[self.count : end] = network_pixels(self.preprocess, self._waiting).numpy()
            self.count = end
            self._waiting = []

    def read(self, indices: Sequence[int]) -> Tensor:
        """Return the pixels of some images, a copy."""
        if self._map is None:
            self._map = np.memmap(self.path, np.uint8, "r", shape=self._shape)
        return torch.from_numpy(self._map[list(indices)])

    def __getstate__(self) -> dict[str, Any]:
        # A process that is spawned maps the file itself, and does not remove it.
        return {**self.__dict__, "_map": None, "_folder": None, "_waiting": []}


@dataclass(frozen=True, kw_only=True)
class FolderPixels:
    """Pixels of a folder's images, from the cache where it has them."""

    images: ImageFolder
    cache: PixelCache

    def __call__(self, indices: Sequence[int]) -> Tensor:
        """Return uint8 `[N, C, h, w]`."""
        if self.cache.fits:
            return self.cache.read(indices)
        return network_pixels(self.cache.preprocess, self.images.read(indices))


def opened(
    folder: Callable[[Callable[[np.ndarray], None]], ImageFolder],
    preprocess: Preprocess,
    *,
    limit: int,
) -> FolderPixels:
    """Open a folder of at most `limit` images and keep the pixels of each.

    `folder` opens it, and gives its argument the pixels of every image that can serve.
    """
    cache = PixelCache(preprocess=preprocess, limit=limit)
    images = folder(cache.add)
    cache.flush()
    return FolderPixels(images=images, cache=cache)
