"""Errors of the device runtime, named by cause."""

from __future__ import annotations

from ..errors import RuntimeCheckError, UnreadableArtifact


class DeviceUnavailable(RuntimeCheckError):
    """The device runtime is not installed here, or cannot be: the message says what to do."""


class InstallFailed(RuntimeCheckError):
    """A download, a hash or a build went wrong; nothing half-installed stays behind."""


class UnknownRuntime(RuntimeCheckError):
    """No runtime or operator table has this name."""


class OtherFormat(UnreadableArtifact):
    """The runtime runs files of another format than this one."""
