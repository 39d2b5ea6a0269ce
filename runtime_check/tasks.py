"""What vision models are for, by the names that Hugging Face's pipelines use."""

from __future__ import annotations

from typing import Literal

Task = Literal[
    "image-classification",  # one class of several: scores [N, classes]
    "multi-label-classification",  # any of several classes
    "image-regression",  # numbers with a unit
    "image-feature-extraction",  # an embedding
    "image-segmentation",  # a class for every pixel
    "depth-estimation",  # a distance for every pixel
    "image-to-image",  # another picture
    "keypoint-detection",  # points
    "object-detection",  # boxes with classes and scores
]
