"""How much a file's own numbers may ask of the machine that reads it.

The metadata says what inputs to make and what model to build for comparison. That happens in the
process of the person who checks the file, so every number has a bound far above what real models
state, and far below what would fill a machine.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, Field

# 256 MB as float32; the largest input of timm's models has 2**22 elements.
MAX_ELEMENTS = 2**26
MAX_RANK = 8
MAX_SIDE = 2**16  # twice what a camera's longest panorama has
# A photo of 16 megapixels, and a resized copy of one: 48 MB as bytes.
MAX_PIXELS = 2**24
MAX_TENSORS = 64  # that one call takes or returns; channels of a picture, too
MAX_ROWS = 10_000  # layers, passes, operators: more than any network has
MAX_CASES = 1_000
MAX_BYTECODE_VERSION = 1_000  # torch 2.12 writes 8
MAX_LABELS = 100_000
MAX_LABEL = 1_000
MAX_NAME = 1_000
MAX_TEXT = 100_000


def _elements(shape: list[int]) -> list[int]:
    # An empty dimension does not make the others harmless: NumPy multiplies them all the same.
    if math.prod(max(size, 1) for size in shape) > MAX_ELEMENTS:
        raise ValueError(f"more than {MAX_ELEMENTS} elements")
    return shape


# Dimensions of a tensor, at most `MAX_RANK` of them and `MAX_ELEMENTS` elements.
Shape = Annotated[
    list[Annotated[int, Field(ge=0)]], Field(max_length=MAX_RANK), AfterValidator(_elements)
]
# Exact in every reader: JavaScript and Swift read numbers as float64.
Count = Annotated[int, Field(ge=0, le=2**53)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=MAX_NAME)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Label = Annotated[str, Field(max_length=MAX_LABEL)]
