"""What ExecuTorch's numbers mean, in the words that Python, Kotlin and Swift share."""

from __future__ import annotations

from runtime_check.runtimes.translate import _NUMBERS, _SET_INPUTS

from .tiny import Json, text


def program_errors() -> dict[str, str]:
    """`program_errors.json`: number -> words, while a file is loaded and while it runs."""

    def words(numbers: dict[int, str]) -> Json:
        return {f"0x{number:02x}": meaning for number, meaning in sorted(numbers.items())}

    value = {
        "about": "What a reader says for an error number of ExecuTorch's. loading: there is no "
        "input yet. running: the number came from a method that was given inputs.",
        "loading": words(_NUMBERS),
        "running": words({**_NUMBERS, **_SET_INPUTS}),
    }
    return {"program_errors.json": text(value)}
