"""Train the small Fashion-MNIST ViT whose checkpoint the quantization table is measured on.

Run `python -m tests.benchmarks.quantization.train_fashion_vit`. The data is Debian's package
`dataset-fashion-mnist` (60,000 training and 10,000 test images, MIT). The checkpoint is stored in
float16, which halves the file; accuracy is stated for the float16-rounded weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from tests.data_sets import (
    FASHION_CHECKPOINT,
    fashion_images,
    fashion_normalize,
    fashion_vit,
)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip half the batch and shift it by up to two pixels.

    `images` is uint8 N,1,28,28. One shift serves the whole batch: cheap, and the next batch
    gets another.
    """
    flip = torch.rand(len(images), generator=generator) < 0.5
    images = torch.where(flip[:, None, None, None], images.flip(-1), images)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    top, left = torch.randint(0, 5, (2,), generator=generator).tolist()
    return padded[:, :, top : top + 28, left : left + 28]


def accuracy(model: torch.nn.Module, images: Tensor, labels: Tensor) -> float:
    """Measure top-1 accuracy in percent on uint8 `images`."""
    correct = 0
    with torch.inference_mode():
        for batch, target in zip(images.split(500), labels.split(500), strict=True):
            correct += int((model(fashion_normalize(batch)).argmax(1) == target).sum())
    return 100.0 * correct / len(labels)


def train(out: Path, epochs: int, threads: int, seed: int = 0) -> None:
    """Train for `epochs` and write the float16 checkpoint to `out`."""
    from safetensors.torch import save_file

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    images, labels = fashion_images("train")
    test_images, test_labels = fashion_images("test")
    model = fashion_vit(load=False).train()
    batch_size = 128
    steps = epochs * (len(images) // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.5e-3, total_steps=steps, pct_start=0.2
    )
    start = time.perf_counter()
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(images), generator=generator)
        for step in range(len(images) // batch_size):
            index = order[step * batch_size : (step + 1) * batch_size]
            batch = fashion_normalize(augment(images[index], generator))
            loss = torch.nn.functional.cross_entropy(
                model(batch), labels[index], label_smoothing=0.05
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 100 == 0:
                seconds = time.perf_counter() - start
                print(
                    f"epoch {epoch} step {step} loss {loss.item():.3f} {seconds:.0f} s", flush=True
                )
        model.eval()
        print(f"epoch {epoch} test {accuracy(model, test_images, test_labels):.2f} %", flush=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, out)
    reloaded = fashion_vit(out)
    print(f"float16 checkpoint: {accuracy(reloaded, test_images, test_labels):.2f} % -> {out.name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FASHION_CHECKPOINT)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    train(arguments.out, arguments.epochs, arguments.threads)
