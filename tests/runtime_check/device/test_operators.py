from __future__ import annotations

import pytest

from runtime_check.device.errors import UnknownRuntime
from runtime_check.device.operators import available_runtimes, load_table, resolve_runtime


def test_runtimes_and_aliases() -> None:
    assert available_runtimes() == ("pytorch-2.1.0", "pytorch-1.13.1")
    assert load_table().runtime == "pytorch-2.1.0"
    assert resolve_runtime("pytorch-1.13") == "pytorch-1.13.1"
    with pytest.raises(UnknownRuntime, match="Did you mean pytorch-2"):
        load_table("pytorch-2.1.1")


@pytest.mark.parametrize("runtime", available_runtimes())
def test_a_table_is_whole(runtime: str) -> None:
    table = load_table(runtime)
    assert table.bytecode == (4, 9)
    assert len(table.operators) > 3900
    assert table.names() == tuple(sorted(table.names()))
    assert "__torch__.torch.classes.xnnpack.LinearOpContext" in table.classes
    # Operators every optimized or quantized vision file leans on.
    for name in (
        "aten::add.Tensor",
        "aten::gelu",
        "prepacked::conv2d_clamp_run",
        "prepacked::linear_clamp_run",
        "quantized::conv2d.new",
        "quantized::linear",
        "quantized::linear_dynamic",
        "prim::RaiseException",
        "prim::TupleIndex",
        "aten::_upsample_bicubic2d_aa",
    ):
        assert table.has(name), name
    assert table.max_args("aten::format") is None
    assert table.max_args("aten::add.Tensor") == 3
    assert table.min_args("aten::add.Tensor") == 2


def test_known_differences_between_runtimes() -> None:
    new, old = load_table("pytorch-2.1.0"), load_table("pytorch-1.13")
    assert not new.has("aten::_upsample_lanczos2d_aa.vec")
    assert not new.has("aten::rms_norm")
    assert not old.has("aten::rms_norm")
    assert new.has("aten::scaled_dot_product_attention")
    assert not old.has("aten::scaled_dot_product_attention")
    arguments = [a.name for a in new.get("aten::scaled_dot_product_attention").arguments]
    assert "enable_gqa" not in arguments
    assert new.max_args("aten::scaled_dot_product_attention") == 7
    assert "aten::_upsample_bilinear2d_aa.vec" in new.similar("aten::_upsample_lanczos2d_aa.vec")
    assert new.similar("aten::softmax.intt")[0].startswith("aten::softmax")


def test_desktop_only_operators_are_not_mobile() -> None:
    table = load_table()
    for name in ("static_runtime::dict_unpack", "aten::__interpolate", "onednn::qlinear_prepack"):
        assert table.has(name, mobile=False)
        assert not table.has(name)
    assert 100 < len(table.operators) - len(table.names()) < 200
