"""Lower a network to an ExecuTorch program: one or two methods, run in a fresh process.

Where a photo goes in, `preprocess` makes the network's input of it and `forward` does the rest: in
one method, the memory that is planned for a photo's many sizes would be ten times as much.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.export import ExportedProgram

from runtime_check.artifact.metadata import Capture
from runtime_check.artifact.program import Method
from runtime_check.comparison import compare
from runtime_check.outputs import flatten

from ..errors import CaptureError
from ..expected import Expected
from ..lower.lowered import Lowered
from ..options import ExportOptions
from ..outputs import run, stack
from ..plan import Plan
from ..progress import Clock
from ..quantize.step import QuantizedNetwork
from ..rewrites import left_out
from ..verify import verify
from ..whole import finish
from .delegable import rewrite_program
from .preprocess import capture_preprocess
from .program import exported, save_program
from .qdq import quantized_program_module


class _Finished(nn.Module):
    """A network and what is done to its outputs: all that follows the preprocessing."""

    def __init__(self, network: nn.Module, plan: Plan) -> None:
        super().__init__()
        self.network = network
        self.meaning = plan.meaning
        self.preprocess = plan.preprocess

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run it; the outputs are a flat tuple, as ExecuTorch gives them."""
        outputs = flatten(self.network(*inputs))
        return tuple(finish(self.meaning, outputs, inputs[0], None))


class _Steps(nn.Module):
    """The methods one after another, as an app runs them."""

    def __init__(self, *steps: nn.Module) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, *inputs: Tensor) -> object:
        """Run the first on the inputs, and each other one on what the one before gave."""
        given: object = inputs
        for step in self.steps:
            given = step(*flatten(given))
        return given


def lower_program(
    plan: Plan,
    network: QuantizedNetwork,
    expected: Expected,
    options: ExportOptions,
    *,
    scratch: Path,
    clock: Clock,
) -> Lowered:
    """Capture, lower and verify; raises `CaptureError` or `VerifyError`."""
    _require_no_photo_size(plan)
    clock.start("capture")
    methods: dict[Method, ExportedProgram] = {}
    if plan.preprocess is not None:
        methods["preprocess"] = capture_preprocess(plan.preprocess, plan.preprocess.max_side)
    finished = _Finished(quantized_program_module(network), plan).eval()
    methods["forward"] = exported(finished, plan.inputs[0])
    off = left_out(options.disable, method=options.quantize.method, format="pte")
    effects = rewrite_program(methods["forward"], left_out=off)
    captured = _Steps(*(method.module() for method in methods.values()))
    if not network.is_int8:
        # In Python, pairs of quantize and dequantize compute in float, and a value between two
        # steps of a grid may go to the other one. The file itself is judged below.
        _require_same(captured, plan, expected)

    clock.start("lower")
    file = save_program(methods, scratch / "program.pte")
    verified = None
    if options.verify:
        clock.start("verify")
        verified = verify(
            file.path,
            plan.samples,
            expected.outputs,
            expected.tolerance,
            evaluation=plan.evaluation,
            metric=expected.metric,
        )
    return Lowered(
        capture=Capture(
            method="export",
            reason="ExecuTorch takes what torch.export captures"
            + ("" if network.is_int8 else f"; it agrees with eager on {len(plan.samples)} inputs"),
        ),
        stages=(("captured", captured),),
        effects=effects,
        file=file,
        verified=verified,
        dynamic_batch=False,
    )


def _require_no_photo_size(plan: Plan) -> None:
    if any(step.function == "resize" for step in plan.meaning.added):
        raise CaptureError(
            "--output class_map is put onto the photo, and the method `forward` of a .pte does not "
            "see its size. Leave it out: the file then gives the scores over the network's "
            "picture, and the geometry in its metadata says where that lies on the photo."
        )


def _require_same(captured: nn.Module, plan: Plan, expected: Expected) -> None:
    outputs = [run(captured, sample.inputs) for sample in plan.samples]
    comparison = compare(
        stack(expected.outputs), stack(outputs), expected.tolerance, expected.metric
    )
    if not comparison:
        raise CaptureError(f"what torch.export captured computes something else: {comparison}")
