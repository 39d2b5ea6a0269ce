"""Turn the messages of torch and ExecuTorch into sentences a person can act on."""

from __future__ import annotations

import re

# What a runtime says -> what it means. Each pattern was matched against the real message of torch
# 2.12.1 or 2.1.0, or of ExecuTorch 1.3.1 or 1.5.1 (test_translate.py and
# test_translate_executorch.py provoke them); `{0}` is the first group.
_TRANSLATIONS = (
    (
        r"isGenericDict\(\)",
        "it holds objects of a class that this torch does not have. Prepacked XNNPACK weights, "
        "which optimize_for_mobile makes, need a torch built with XNNPACK: on Linux 2.12 or older",
    ),
    (
        r"Following ops cannot be found: \[?([^\]\n]*)",
        "it calls operators that this runtime does not have ({0}). Export it for this runtime "
        "(`--target`)",
    ),
    (
        r"Lite Interpreter version number does not match\. ([^()\n]*)",
        "its bytecode version is outside what this runtime reads ({0}). Export it for this "
        "runtime (`--target`)",
    ),
    (
        r"Attempted to read a PyTorch file with version (\d+), but the maximum",
        "its archive format {0} is newer than this torch reads",
    ),
    (
        r"PytorchStreamReader failed locating file ([^:]*)",
        "the archive has no record {0}, so it is not a lite-interpreter file, or it is damaged",
    ),
    (
        r"PytorchStreamReader failed ([^.]*)",
        "the archive is damaged or incomplete ({0})",
    ),
    (
        r"can't allocate memory: you tried to allocate (\d+) bytes|std::bad_alloc|MemoryError",
        "it asked for more memory than it may have ({0} bytes at once). Raise `--memory`, or the "
        "file is hostile",
    ),
    (
        r"quantized engine (\w+) is not supported|Didn't find engine for operation (\S+)",
        "it is quantized, and this torch has no quantized engine for it ({0})",
    ),
    (
        r"(quantized::\w+) \(ONEDNN\)",
        "it was quantized for phones (QNNPACK), and {0} ran on a server's engine: set "
        "torch.backends.quantized.engine = 'qnnpack' before loading",
    ),
    (
        r"XNNPACK (\w+) not usable",
        "the input's dtype or shape is not what XNNPACK's {0} was prepared for",
    ),
    (
        r"Attempted to resize a bounded tensor with a maximum capacity of (\d+)",
        "an input is larger than the program was made for, which is at most {0} values. Scale it "
        "down first",
    ),
    (
        r"Attempted to resize a static tensor\. Expected shape (\([^)]*\))[^;]*; Error resizing "
        r"tensor at input",
        "an input has another shape than the program was made for, which is {0}",
    ),
    (
        r"Attempted to change the tensor rank which is immutable: old=(\d+)[^;]*; Error resizing "
        r"tensor at input",
        "an input does not have the {0} dimensions that the program was made for",
    ),
    (
        r"Input \d+ has unexpected scalar type: expected (\w+)",
        "an input has another type than the program was made for, which is {0}",
    ),
    (
        r"kernel '([^']*)' not found",
        "it calls an operator that this runtime does not have ({0})",
    ),
    (
        r"Backend (\S+) is not registered",
        "it was made for a backend that this runtime does not have ({0}): there is XNNPACK here",
    ),
    (
        r"File size is too small\. Expected file size from extended header is (\d+)",
        "the program is cut short: it should have {0} bytes",
    ),
    (
        r"offset 0 \+ size 64 > file_size_ (\d+)",
        "the file is too short to hold a program ({0} bytes)",
    ),
    (
        r"Program identifier '([^']*)' != expected",
        "it is not a program for ExecuTorch, or one of another version (its mark is {0!r})",
    ),
    (
        r"Propagating input shapes failed with code",
        "an input has a shape that XNNPACK's part of the program was not prepared for",
    ),
)
# ExecuTorch's numbers, where its log says nothing of the above. `set_inputs` is the call that gave
# the number in Python, where the log is not at hand.
_SET_INPUTS = {
    0x10: "an input is larger than the program was made for, or has another shape",
    0x12: "the inputs are of another type than the program was made for, or not as many",
}
_NUMBERS = {
    0x01: "the runtime failed inside",
    0x10: "it asks for something that this runtime does not support",
    0x11: "it asks for something that this runtime does not have",
    0x12: "it, or an input, states something impossible",
    0x14: "it calls an operator that this runtime does not have",
    0x20: "something that it refers to is not there: a backend, a method, or some of its data",
    0x21: "it asks for more memory than was planned for it, or than there is",
    0x22: "the file cannot be read",
    0x23: "the program is damaged or incomplete",
    0x30: "the part of it that was prepared for XNNPACK is damaged, or of another version",
}
_NUMBER = re.compile(r"(?:error:?|failed with) 0x:?([0-9a-f]+)\b(?: \(\w+\): )?([^\n]*)")


def _number(error: str) -> str | None:
    """Say what the number means that ExecuTorch gives, and what its log adds; None: no number."""
    match = _NUMBER.search(error)
    if match is None:
        return None
    number = int(match[1], 16)
    meanings = {**_NUMBERS, **(_SET_INPUTS if "set_inputs()" in error else {})}
    if number not in meanings:
        return None
    why = match[2].strip().rstrip(".")[:300]
    return f"{meanings[number]} (0x{number:02x}{': ' if why else ''}{why})"


def translate(error: str) -> str:
    """Turn a runtime's first lines into a sentence; unknown ones are passed on, shortened."""
    for pattern, meaning in _TRANSLATIONS:
        match = re.search(pattern, error)
        if match:
            group = next((text for text in match.groups() if text), "an unknown number of")
            return meaning.format(group.strip())
    if numbered := _number(error):
        return numbered
    # The lite interpreter appends handles for a debugger that phones' files do not carry.
    plain = error.split("Debug info for handle(s)")[0]
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return " ".join(lines[:3])[:500].rstrip(".") or "torch gave no reason"
