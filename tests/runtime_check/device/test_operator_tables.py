"""Tables are made from real builds."""

from __future__ import annotations

from runtime_check.device.operator_tables import android_operators, render


def test_android_strings_are_read_with_merged_tails() -> None:
    library = (
        b"\0addmm(Tensor a, Tensor b) -> Tensor\0quantized::mul(Tensor qa) -> Tensor\0"
        b"junk(\0prim::is_cpu(Tensor a) -> bool\0noise cos(x)\0"
    )
    names = ["aten::addmm", "aten::mm", "aten::exp", "quantized::mul", "prim::is_cpu", "prim::cos"]
    found = android_operators(library, names)
    assert found == {"aten::addmm", "aten::mm", "quantized::mul", "prim::is_cpu"}


def test_render_is_one_operator_a_line_and_sorted() -> None:
    text = render({"runtime": "x", "operators": {"b": {"args": []}, "a": {"args": []}}})
    assert text.splitlines()[-4:] == ['  "a": {"args":[]},', '  "b": {"args":[]}', " }", "}"]
