"""A file as a function of numpy arrays, run in a process of its own."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from .artifact.archive import ArtifactFile, read_artifact
from .artifact.inputs import check_inputs
from .artifact.metadata import Metadata
from .options import DEFAULT_MEMORY, DEFAULT_TIMEOUT, RuntimeName
from .runtime import Runtime, open_runtime, shown_as
from .signing import read_public_key
from .snapshot import snapshot


class LoadedFile:
    """A file that was loaded, to be called like the model; made by `load`.

    The process ends with `close`, at the end of a `with` block, or with the object.
    """

    def __init__(self, artifact: ArtifactFile, runtime: Runtime, stack: ExitStack) -> None:
        self.artifact = artifact
        self.runtime = runtime
        self.close = weakref.finalize(self, stack.close)

    @property
    def metadata(self) -> Metadata:
        """The artifact's metadata: labels, preprocessing, tolerance and more."""
        return self.artifact.metadata

    def __call__(self, *inputs: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        """Run `forward`: uint8 RGB height x width x 3 for an image artifact, else its tensors.

        Returns one array, or a tuple where the file has several outputs. Raises `ValueError` for
        inputs that the metadata does not allow, `ForwardError` when `forward` raises, and
        `ChildDied` when the process dies or takes too long.
        """
        arrays = [np.asarray(value) for value in inputs]
        check_inputs(self.metadata, arrays)
        outputs = self.runtime.forward(arrays).outputs
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def __enter__(self) -> LoadedFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def load(
    path: Path | str,
    *,
    run_on: RuntimeName = "host",
    timeout: float = DEFAULT_TIMEOUT,
    memory: int = DEFAULT_MEMORY,
    verify_key: str | Path | None = None,
) -> LoadedFile:
    """Load an exported file in a child process, on this torch or on a device runtime.

    `timeout` is seconds for one answer, `memory` bytes beyond what torch maps (0: no limit).
    `verify_key` (a line or a file of minisign's) is the public key that must have signed the file:
    the bytes that were verified are those that run. Raises `UnreadableArtifact` or
    `UnsupportedSchema` when the file is not a good one, `NotVouchedFor` when the key did not sign
    it, and `DeviceUnavailable` when the runtime is not installed.
    """
    with ExitStack() as stack:
        if verify_key is None:
            artifact = read_artifact(path)
        else:
            key = read_public_key(verify_key)
            copy = stack.enter_context(snapshot(Path(path))).path
            with shown_as(str(copy), str(path)):
                artifact = read_artifact(copy, verify_key=key)
        opened = open_runtime(run_on, artifact.path, timeout=timeout, memory=memory)
        runtime = stack.enter_context(opened)
        return LoadedFile(artifact, runtime, stack.pop_all())
