"""Models that people take from torchvision and Hugging Face, small where they can be, untrained.

Factories for `known_models:name`. A fresh network's batch norms know nothing of what comes in, and
its outputs fade until they are the same for every photo: `awake` lets them see some pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def pictures(count: int, height: int, width: int) -> Tensor:
    """Normalized pictures of smooth colors with some noise, `[count, 3, height, width]`."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.randn(count, 3, 6, 6, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return smooth + 0.2 * torch.randn(count, 3, height, width, generator=generator)


def awake(module: nn.Module, shape: tuple[int, int], run: Callable[[Tensor], object]) -> None:
    """Give the batch norms of `module` the statistics of a few pictures, by calling `run`."""
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        run(pictures(4, *shape))
    module.eval()


def deeplabv3() -> nn.Module:
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

    torch.manual_seed(0)
    net = deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    ).eval()
    awake(net, (128, 128), net)
    return net


def lraspp() -> nn.Module:
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    torch.manual_seed(0)
    net = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21).eval()
    awake(net, (128, 128), net)
    return net


def vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
        initializer_range=0.3,  # the usual 0.02 leaves the classes of a small model all alike
        id2label={0: "cat", 1: "dog", 2: "owl"},
        label2id={"cat": 0, "dog": 1, "owl": 2},
    )
    net: nn.Module = ViTForImageClassification(config).eval()
    return net


def segformer() -> nn.Module:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(0)
    config = SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[16, 16, 24, 32],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=32,
        initializer_range=0.2,
        num_labels=5,
    )
    net: nn.Module = SegformerForSemanticSegmentation(config).eval()
    awake(net, (64, 64), net)
    return net


_MOBILE_VIT = {
    "image_size": 64,
    "hidden_sizes": [24, 32, 40],
    "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 64],
    "num_labels": 4,
    "initializer_range": 0.2,
}


def mobilevit() -> nn.Module:
    from transformers import MobileViTConfig, MobileViTForImageClassification

    torch.manual_seed(0)
    net: nn.Module = MobileViTForImageClassification(MobileViTConfig(**_MOBILE_VIT)).eval()
    awake(net, (64, 64), net)
    return net


def mobilevit_segmentation() -> nn.Module:
    from transformers import MobileViTConfig, MobileViTForSemanticSegmentation

    torch.manual_seed(0)
    config = MobileViTConfig(
        **_MOBILE_VIT, output_stride=16, aspp_out_channels=16, atrous_rates=[2, 4, 6]
    )
    net: nn.Module = MobileViTForSemanticSegmentation(config).eval()
    awake(net, (64, 64), net)
    return net


def louder(layers: Iterable[nn.Module], factor: float) -> None:
    """Scale the weights of a head, so that an untrained one is sure of some of what it gives."""
    with torch.no_grad():
        for layer in layers:
            layer.weight.mul_(factor)


def ssdlite() -> nn.Module:
    """With scores spread like a trained one's, of which some are above the threshold."""
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    torch.manual_seed(0)
    net: nn.Module = ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=6, score_thresh=0.7
    ).eval()
    awake(net, (320, 320), lambda x: net([*x]))
    louder((block[1] for block in net.head.classification_head.module_list), 8.0)
    return net


def fcos() -> nn.Module:
    """On small pictures, with scores spread like a trained one's."""
    from torchvision.models.detection import fcos_resnet50_fpn

    torch.manual_seed(0)
    size = {"min_size": 160, "max_size": 160}
    net: nn.Module = fcos_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=6, score_thresh=0.5, **size
    ).eval()
    awake(net, (160, 160), lambda x: net([*x]))
    louder([net.head.classification_head.cls_logits], 8.0)
    return net


def retinanet() -> nn.Module:
    """On small pictures, with scores spread like a trained one's."""
    from torchvision.models.detection import retinanet_resnet50_fpn

    torch.manual_seed(0)
    size = {"min_size": 160, "max_size": 160}
    net: nn.Module = retinanet_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=6, score_thresh=0.3, **size
    ).eval()
    awake(net, (160, 160), lambda x: net([*x]))
    # Its head has no norms: an untrained one's scores are all alike.
    louder([net.head.classification_head.cls_logits], 100.0)
    return net


def faster_rcnn() -> nn.Module:
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    torch.manual_seed(0)
    net: nn.Module = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=6, min_size=160, max_size=160
    ).eval()
    return net
