"""Read a process's own memory, for benchmarks that run one thing in a fresh process (Linux)."""

from __future__ import annotations

from pathlib import Path

RESIDENT, ANONYMOUS, PEAK = "VmRSS", "RssAnon", "VmHWM"


def memory() -> dict[str, int]:
    """Return bytes resident now, those of them in no file, and the most resident at any time.

    What a file backs can be dropped and read again; the rest a phone has to keep, or kill for.
    """
    found = dict.fromkeys((RESIDENT, ANONYMOUS, PEAK), 0)
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        field, _, value = line.partition(":")
        if field in found:
            found[field] = int(value.split()[0]) * 1024
    return found


def forget_peak() -> None:
    """Start the peak anew, at what is resident now.

    Raises OSError where the kernel does not allow it: the peaks would be those of earlier steps.
    """
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
