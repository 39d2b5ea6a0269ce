"""The device runtime: operator tables, and torch 2.1.0 for ARM64 under emulation."""

from .errors import DeviceUnavailable, InstallFailed, UnknownRuntime
from .install import InstalledRuntime, RuntimeStatus, find_installed, install, status
from .operators import OperatorTable, available_runtimes, load_table
from .profile import Profile, SymbolCount, profile
from .runner import DeviceRun, DeviceSession, open_runner, run_on_device

__all__ = [
    "DeviceRun",
    "DeviceSession",
    "DeviceUnavailable",
    "InstallFailed",
    "InstalledRuntime",
    "OperatorTable",
    "Profile",
    "RuntimeStatus",
    "SymbolCount",
    "UnknownRuntime",
    "available_runtimes",
    "find_installed",
    "install",
    "load_table",
    "open_runner",
    "profile",
    "run_on_device",
    "status",
]
