"""Place an artifact where the demo apps load it."""

from __future__ import annotations

import shutil
from pathlib import Path

from runtime_check.scratch import folder_made, scratch_folder
from runtime_check.together import FINISHED, put_in_place

from .errors import UsageError

# Files that mark an app folder of each kind, and where the app looks for models.
_ANDROID = ("settings.gradle.kts", "settings.gradle", "app/src/main")
_IOS = ("Podfile", "Package.swift", "Models")
ANDROID_MODELS = Path("app/src/main/assets")
IOS_MODELS = Path("Models")


def models_folder(app: Path) -> Path:
    """Return the folder an app loads models from; raise `UsageError` when `app` is not ours."""
    if not app.is_dir():
        raise UsageError(
            f"--install: there is no folder {app}. Give the folder of the Android or iOS app, for "
            "example `--install android_demo` in a checkout of this project."
        )
    if any((app / marker).exists() for marker in _ANDROID):
        return app / ANDROID_MODELS
    if any((app / marker).exists() for marker in _IOS) or list(app.glob("*.xcodeproj")):
        return app / IOS_MODELS
    raise UsageError(
        f"--install: {app} looks like neither an Android project (settings.gradle.kts, "
        "app/src/main) nor an iOS one (Podfile, Package.swift, Models)."
    )


def install(artifact: Path, app: Path) -> Path:
    """Copy the artifact into an app, in one step; return where it went.

    Raises `UsageError` when `app` is not ours or cannot be written.
    """
    folder = models_folder(app)
    try:
        with folder_made(folder), scratch_folder(folder) as scratch:
            (scratch / FINISHED).mkdir()
            shutil.copyfile(artifact, scratch / FINISHED / artifact.name)
            put_in_place([scratch])
    except OSError as error:
        raise UsageError(f"--install: cannot write in {folder}: {error.strerror}.") from error
    return folder / artifact.name
