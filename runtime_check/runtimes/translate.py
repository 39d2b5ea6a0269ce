"""Turn torch's own messages into sentences a person can act on."""

from __future__ import annotations

import re

# What torch says -> what it means. Each pattern was matched against the real message of torch
# 2.12.1 or 2.1.0 (tests/runtime_check/runtimes/test_translate.py provokes them); `{0}` is the first
# group.
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
)


def translate(error: str) -> str:
    """Turn torch's first lines into a sentence; unknown ones are passed on, shortened."""
    for pattern, meaning in _TRANSLATIONS:
        match = re.search(pattern, error)
        if match:
            group = next((text for text in match.groups() if text), "an unknown number of")
            return meaning.format(group.strip())
    # The lite interpreter appends handles for a debugger that phones' files do not carry.
    plain = error.split("Debug info for handle(s)")[0]
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return " ".join(lines[:3])[:500].rstrip(".") or "torch gave no reason"
