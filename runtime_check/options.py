"""What a check can be asked for; nothing here imports torch or hypothesis."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from .errors import RuntimeCheckError, did_you_mean
from .signing import read_public_key, require_cryptography
from .values import require_seed, require_types

PropertyName = Literal[
    "golden",
    "metadata",
    "parity",
    "preprocessing",
    "determinism",
    "batch",
    "nonfinite",
    "load-anywhere",
]
# What a file is: for torch's lite interpreter, or for ExecuTorch.
Format = Literal["ptl", "pte"]
ProfileName = Literal["ci", "nightly"]
# `host` is this Python's torch, the others are device runtimes.
RuntimeName = Literal[
    "host", "arm64-2.1.0", "arm64-1.13.1", "x86-2.1.0", "arm64-executorch", "x86-executorch"
]
# What `bench` can time beside files; int8 by the peer's own means where the name says so.
PeerName = Literal[
    "eager",
    "onnxruntime",
    "onnxruntime-dynamic",
    "onnxruntime-static",
    "executorch",
    "executorch-dynamic",
    "executorch-static",
]

PROPERTY_NAMES: tuple[PropertyName, ...] = get_args(PropertyName)
PEER_NAMES: tuple[PeerName, ...] = get_args(PeerName)
DEFAULT_TIMEOUT = 300.0
DEFAULT_MEMORY = 8 * 2**30
DEFAULT_DEADLINE = 3600.0
LONGEST_TIMEOUT = 7 * 86400.0
MOST_MEMORY = 2**50
EMPTY_REFERENCE = "--reference takes a timm name or package.module:factory, and it is empty."


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How hard to look."""

    examples: int  # inputs drawn a property
    max_pixels: int  # of the largest image drawn
    device_examples: int  # under emulation, where one takes seconds


PROFILES: dict[ProfileName, Profile] = {
    "ci": Profile(examples=20, max_pixels=400_000, device_examples=4),
    "nightly": Profile(examples=200, max_pixels=12_000_000, device_examples=20),
}


def require_one_of(what: str, name: str, known: Collection[str]) -> None:
    """Raise `RuntimeCheckError` unless `name` is one of `known`; `what` they are is in the text."""
    if name not in known:
        hint = did_you_mean(name, known, most=1)
        raise RuntimeCheckError(f"There is no {what} {name!r}: {', '.join(known)}.{hint}")


def require_limits(timeout: float, memory: int) -> None:
    """Raise `RuntimeCheckError` for a time limit (seconds) or a memory limit (bytes) that is none.

    A timer takes no more than some centuries: `LONGEST_TIMEOUT` is a week.
    """
    if not 0 < timeout <= LONGEST_TIMEOUT or not 0 <= memory <= MOST_MEMORY:
        raise RuntimeCheckError(
            f"A time limit is above 0 s and at most {LONGEST_TIMEOUT:g} s, and a memory limit not "
            f"below 0 bytes (0: none) and at most {MOST_MEMORY}, not {timeout:g} s and {memory} "
            "bytes."
        )


def bytes_of(gibibytes: float) -> int:
    """Turn `--memory` into bytes; raise `RuntimeCheckError` for what no machine has."""
    most = MOST_MEMORY // 2**30
    if not 0 <= gibibytes <= most:
        raise RuntimeCheckError(
            f"--memory takes GiB, from 0 (no limit) to {most}, not {gibibytes:g}."
        )
    return int(gibibytes * 2**30)


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What a user demands beyond right rounding; None demands nothing.

    `atol` and `rtol` bound every value of every input: |file - Python| <= atol + rtol * |Python|.
    `min_sqnr_db` and `min_agreement` (by the task's metric: the top-1 class, a map's
    pixels, matched boxes, the cosine of embeddings; 0 to 1) hold for all inputs together.
    """

    atol: float | None = None
    rtol: float | None = None
    min_sqnr_db: float | None = None
    min_agreement: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.items():
            if not math.isfinite(value) or (value < 0 and name != "min_sqnr_db"):
                raise RuntimeCheckError(
                    f"{name} is a number that is not below 0 and not infinite, not {value:g}."
                )
        if self.min_agreement is not None and self.min_agreement > 1:
            raise RuntimeCheckError(
                f"min_agreement is a share from 0 to 1, not {self.min_agreement:g}."
            )

    def items(self) -> list[tuple[str, float]]:
        """List what is demanded, by name."""
        return [(name, value) for name, value in vars(self).items() if value is not None]

    def __bool__(self) -> bool:
        return bool(self.items())


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """How to check a file. Raises `RuntimeCheckError` for a value that does not exist.

    `run_on` is the runtime that runs the file; `properties` are all when none is named; `replay`
    judges one saved counterexample instead of them. `examples` (inputs drawn a property) takes
    the place of the profile's. `reference` (a timm name or `package.module:factory`), `weights`
    (a checkpoint), `trust_factory` (call the factory that the file names) and `allow_large` (build
    the model that the file names whatever its size) say what the file is compared with.
    `counterexamples` is the folder for failing inputs. `timeout` is seconds for one answer of the
    runtime, `deadline` for all of them together (past it there is no verdict), `memory` bytes
    beyond what torch maps. `count` also counts the instructions of one inference, on device
    runtimes that can. `demands` are the user's own. `verify_key` (a line or a file of minisign's)
    is the public key that must have signed the file.
    """

    run_on: RuntimeName = "host"
    profile: ProfileName = "ci"
    examples: int | None = None
    seed: int = 0
    properties: tuple[PropertyName, ...] = ()
    replay: Path | None = None
    reference: str | None = None
    weights: Path | None = None
    trust_factory: bool = False
    allow_large: bool = False
    counterexamples: Path = Path("counterexamples")
    timeout: float = DEFAULT_TIMEOUT
    deadline: float = DEFAULT_DEADLINE
    memory: int = DEFAULT_MEMORY
    count: bool = False
    demands: Demands = Demands()
    verify_key: str | Path | None = None

    def __post_init__(self) -> None:
        require_types(self)
        require_one_of("runtime", self.run_on, get_args(RuntimeName))
        require_one_of("profile", self.profile, get_args(ProfileName))
        if self.verify_key is not None:
            require_cryptography()
            read_public_key(self.verify_key)
        for name in self.properties:
            require_one_of("property", name, PROPERTY_NAMES)
        if self.examples is not None and self.examples < 1:
            raise RuntimeCheckError(f"A property needs at least one example, not {self.examples}.")
        require_seed(self.seed)
        if self.reference == "":
            raise RuntimeCheckError(EMPTY_REFERENCE)
        require_limits(self.timeout, self.memory)
        require_limits(self.deadline, self.memory)
        if self.count and self.run_on == "host":
            raise RuntimeCheckError(
                "--count is for emulated device runtimes, such as --run-on arm64-2.1.0; on host no "
                "instructions are counted."
            )
