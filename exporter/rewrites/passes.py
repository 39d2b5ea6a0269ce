"""The list of passes: every name that `--disable` takes, in the order in which they run.

To add a pass, write its function in a file of its own and add one line here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, fx, nn

from runtime_check.device.operators import load_table
from runtime_check.options import Format

from ..errors import UsageError, did_you_mean
from .attention import fuse_attention
from .batch_norm import fold_batch_norm
from .convolutions import channels_last, plain_convolutions
from .flip import flip_same_padding
from .identities import drop_identities
from .layers import Edit
from .positions import fold_positions
from .reparameterize import reparameterize
from .rms_norm import plain_rms_norms
from .scales import fold_layer_scales, fold_scales
from .split import split_wide_layers
from .tokens import keep_read_tokens

# The kinds of file: PyTorch's lite interpreter's, and ExecuTorch's.
# What a pass works on: the module's layers, its traced graph, the int8 network, TorchScript, or
# the exported program.
Level = Literal["modules", "graph", "int8", "script", "program"]
# Levels that only one kind of file has.
_ONLY_IN: Mapping[Level, Format] = {"script": "ptl", "program": "pte"}
# What a network is run on: its one tensor, or all of its arguments.
Example = Tensor | tuple[Tensor, ...]
# Look at a module and return what to replace; the module itself stays unchanged.
FindEdits = Callable[[nn.Module, Example], list[Edit]]
# Change a traced graph in place and return how many places changed.
ChangeGraph = Callable[[fx.GraphModule, Example], int]

# The noun that a pass counts is its sentence's first plural.
_PLURAL = re.compile(r"(\w*[^\Ws])s\b")


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass, and all that the rest of the exporter needs to know about it.

    `run` takes the module and one example input: `FindEdits` on modules, `ChangeGraph` on graphs.
    Int8 passes are run by the quantize step, script passes by `lower.optimize`, and program passes
    by `executorch.delegable`.
    `says` completes the sentence that starts with the count ("12 batch norms folded").
    """

    name: str
    on: Level
    says: str
    run: FindEdits | ChangeGraph | None = None
    # An operator that the pass introduces and that not every device runtime has.
    needs_operator: str = ""
    # Why it is skipped before int8 of any kind, and before int8 with activation ranges.
    not_before_int8: str = ""
    not_before_static: str = ""
    # Formats in which it is not worth it, and why; README.md has the measurements.
    not_worth: Mapping[Format, str] = field(default_factory=dict)
    # How many edits make up one unit of what `says` counts.
    per_edit: int = 1
    # Whether this pass alone justifies shipping a traced graph instead of the author's modules.
    worth_a_graph: bool = True
    # Whether it only changes the memory layout, which int8 layers choose themselves.
    layout_only: bool = False


Status = Literal["applied", "none", "disabled", "left_out", "undone"]


@dataclass(frozen=True)
class PassEffect:
    """What became of a pass.

    "applied": `count` times, and `why` says to what. "none": there was nothing to do. "disabled":
    by the user. "left_out": not run, because of `why`. "undone": it raised, or changed outputs.
    """

    status: Status
    count: int = 0
    why: str = ""

    def __str__(self) -> str:
        """Return the sentence that the metadata and the report show."""
        match self.status:
            case "applied":
                what = _PLURAL.sub(r"\1", self.why, count=1) if self.count == 1 else self.why
                return f"{self.count} {what}" if self.count else "applied"
            case "none":
                return f"not applied: {self.why}"
            case "disabled":
                return "disabled"
            case "left_out":
                return f"skipped: {self.why}"
            case "undone":
                return f"undone: {self.why}"


PASSES: tuple[Pass, ...] = (
    # Fusing branches exposes convolutions, and plain convolutions absorb batch norms.
    Pass(
        name="reparameterize",
        on="modules",
        run=reparameterize,
        says="layers fused by the model's own methods",
    ),
    Pass(
        name="plain-convolutions",
        on="modules",
        run=plain_convolutions,
        says="convolutions made plain",
    ),
    Pass(
        name="fold-batch-norm",
        on="modules",
        run=fold_batch_norm,
        says="batch norms folded",
        per_edit=2,  # the layer that absorbs it, and what remains of the norm
    ),
    Pass(
        name="plain-rms-norms",
        on="modules",
        run=plain_rms_norms,
        says="RMSNorms decomposed",
    ),
    Pass(
        name="channels-last",
        on="modules",
        run=channels_last,
        says="first convolutions moved to channels-last",
        layout_only=True,
        not_worth={
            "pte": "the delegate orders its memory itself, and a layout from outside is a copy"
        },
    ),
    # No-ops hide the patterns that the other passes look for.
    Pass(
        name="drop-identities",
        on="graph",
        run=drop_identities,
        says="no-ops removed",
        worth_a_graph=False,  # no-ops cost nothing by themselves
    ),
    Pass(
        name="fold-scales",
        on="graph",
        run=fold_scales,
        says="attention scales folded into linear layers",
    ),
    Pass(
        name="fold-layer-scales",
        on="graph",
        run=fold_layer_scales,
        says="LayerScales folded into linear layers",
        not_before_static="it would make int8 outputs coarser",
    ),
    Pass(
        name="fold-positions",
        on="graph",
        run=fold_positions,
        says="class tokens merged with positions",
    ),
    Pass(
        name="keep-read-tokens",
        on="graph",
        run=keep_read_tokens,
        says="linear layers limited to the tokens that are read",
    ),
    Pass(
        name="fuse-attention",
        on="graph",
        run=fuse_attention,
        says="attention blocks fused into one operator",
        needs_operator="aten::scaled_dot_product_attention",
    ),
    Pass(
        name="flip-same-padding",
        on="graph",
        run=flip_same_padding,
        says="asymmetric paddings made symmetric",
        needs_operator="aten::flip",
        not_worth={"pte": "XNNPACK pads unequal sides within the convolution"},
    ),
    Pass(
        name="split-wide-layers",
        on="graph",
        run=split_wide_layers,
        says="layers split to fit a core's cache",
        not_before_int8="int8 weights are a quarter of the size",
    ),
    Pass(
        name="cheap-activations",
        on="int8",
        says="GELUs and softmaxes approximated by polynomials",
        not_worth={"pte": "XNNPACK computes exponentials in vectors, which cost less"},
    ),
    Pass(name="freeze", on="script", says="parameters turned into constants"),
    # torch's own, in the order in which optimize_for_mobile runs them.
    Pass(name="conv-bn-fusion", on="script", says="batch norms folded into convolutions"),
    Pass(name="insert-fold-prepack-ops", on="script", says="weights packed for XNNPACK"),
    Pass(name="remove-dropout", on="script", says="dropouts removed"),
    Pass(
        name="hoist-conv-packed-params", on="script", says="packed weights moved to the top module"
    ),
    Pass(name="fuse-add-relu", on="script", says="ReLUs fused with the preceding additions"),
    Pass(name="in-place-activations", on="script", says="activations computed in place"),
    Pass(
        name="plain-patches",
        on="program",
        says="patch embeddings written as linear layers",
    ),
    Pass(
        name="plain-attention",
        on="program",
        says="attention blocks written as products and a softmax",
    ),
    Pass(
        name="plain-products",
        on="program",
        says="matrix products written over three dimensions",
    ),
    Pass(name="plain-layer-norms", on="program", says="LayerNorms written as products and sums"),
    Pass(
        name="plain-group-norms",
        on="program",
        says="group norms written in products and sums",
    ),
    Pass(name="plain-views", on="program", says="selections written as slices and views"),
)


def names(*on: Level) -> tuple[str, ...]:
    """Name the passes on these levels (by default on all), in the order in which they run."""
    return tuple(one.name for one in PASSES if not on or one.on in on)


def left_out(
    disable: Collection[str],
    *,
    targets: Sequence[str] = (),
    method: str = "none",
    format: Format = "ptl",
    passes: Sequence[Pass] = PASSES,
) -> Mapping[str, PassEffect]:
    """Return the passes to skip, and why: disabled, unsuitable before int8, or missing operators.

    `targets` are the device runtimes that a .ptl file must load on. `method` is the recipe's:
    "none", "dynamic", "static", "qat" or "auto". `format` is the file's; passes on what the other
    format alone has are not mentioned. Raises `UsageError` for a name in `disable` that no pass
    has.
    """
    known = [one.name for one in passes]
    for name in disable:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UsageError(
                f"There is no pass {name!r} to disable.{hint} There are: {', '.join(known)}."
            )
    effects = {name: PassEffect("disabled") for name in disable}
    for one in passes:
        if _ONLY_IN.get(one.on, format) != format:
            continue
        why = one.not_worth.get(format, "") or _why_not(one, targets, method, format)
        if why and one.name not in effects:
            effects[one.name] = PassEffect("left_out", why=why)
    return effects


def _why_not(one: Pass, targets: Sequence[str], method: str, format: Format) -> str:
    if method != "none" and one.not_before_int8:
        return one.not_before_int8
    if method not in ("none", "dynamic") and one.not_before_static:
        return one.not_before_static
    if one.needs_operator and format == "ptl":
        for target in targets:
            if not load_table(target).has(one.needs_operator):
                return f"{target} has no {one.needs_operator}"
    return ""
