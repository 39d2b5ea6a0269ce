"""The devices and processes that train together: Lightning Fabric, from what the launcher says.

Under `torchrun` or `fabric run` every process runs the whole command. They train together; then the
first converts and writes, and the others end.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import UsageError
from ..training import Accelerator, TrainingOptions

if TYPE_CHECKING:
    from lightning_fabric import Fabric

INSTALL = 'pip install "torch-mobile-export[train]"'


def device_for(accelerator: Accelerator) -> torch.device:
    """Return the device of this process; raise UsageError where there is no such one."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if accelerator == "auto":
        accelerator = "cuda" if cuda else "mps" if mps else "cpu"
    if (accelerator == "cuda" and not cuda) or (accelerator == "mps" and not mps):
        raise UsageError(
            f"--accelerator {accelerator}: this torch finds none. `--accelerator auto` takes what "
            "there is."
        )
    if accelerator == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(accelerator)


def world(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return how many processes a machine has and how many machines there are.

    The variables are those of `torchrun`, which `fabric run` starts.
    """
    here = int(environment.get("LOCAL_WORLD_SIZE", "1"))
    return here, int(environment.get("WORLD_SIZE", "1")) // here


def start(training: TrainingOptions) -> Fabric:
    """Join the processes that the launcher started, or be the only one.

    Raises UsageError without Fabric, an extra, and for what this machine does not have.
    """
    if importlib.util.find_spec("lightning_fabric") is None:
        raise UsageError(f"QAT trains with Lightning Fabric, an extra: {INSTALL}.")
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every process

    device = device_for(training.accelerator)
    devices, machines = world(os.environ)
    strategy: Any = "auto"
    if devices * machines > 1:
        # Layers that a branch leaves out get no gradient. Buffers are the same everywhere.
        strategy = DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)
    fabric = Fabric(
        accelerator=device.type,
        devices=devices,
        num_nodes=machines,
        strategy=strategy,
        precision="bf16-mixed" if training.precision == "bf16" else "32-true",
        loggers=_loggers(training.log_dir),
    )
    fabric.launch()
    return fabric


def _loggers(folder: Path | None) -> list[Any]:
    """Return a writer of metrics.csv in `folder`, and TensorBoard's where that is installed."""
    if folder is None:
        return []
    from lightning_fabric.loggers import CSVLogger, TensorBoardLogger

    loggers: list[Any] = [CSVLogger(folder, name="", version="", flush_logs_every_n_steps=1)]
    if importlib.util.find_spec("tensorboard") is not None:
        loggers.append(TensorBoardLogger(folder, name="", version=""))
    return loggers


def gathered(outputs: list[Any], fabric: Fabric) -> list[Any]:
    """Return the outputs of all processes, where each had every `world_size`-th batch."""
    if fabric.world_size == 1:
        return outputs
    everywhere: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(everywhere, outputs)
    longest = max(map(len, everywhere))
    return [part[i] for i in range(longest) for part in everywhere if i < len(part)]


def leave_together() -> None:
    """End what `start` began; all processes but the first have done their part, and end.

    Does nothing in a process that trained alone.
    """
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    rank = distributed.get_rank()
    distributed.destroy_process_group()
    if rank:
        raise SystemExit(0)
