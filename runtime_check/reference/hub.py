"""Files of a repository on the model hub: from the local cache first, then from the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import BuildError

# Seconds until the hub counts as unreachable.
_PATIENCE = 10.0


class HubError(BuildError):
    """The files cannot be downloaded; the message says why."""


class HubTooLarge(HubError):
    """A file on the hub is larger than what was to be downloaded."""


def is_hub_id(name: str) -> bool:
    """Say whether `name` is a repository on the model hub, `hf-hub:owner/name`."""
    return name.startswith(("hf-hub:", "hf_hub:"))


def fetch(
    repository: str,
    revision: str | None,
    wanted: Sequence[Sequence[str]],
    *,
    most: int | None = None,
) -> list[Path]:
    """Return a local file for each of `wanted`: the first of its names that `repository` has.

    The local cache comes first: cached files need no network and no waiting, and they are used even
    if the hub has newer ones. All files of one call belong to one commit. Raises `HubError`, and
    `HubTooLarge` instead of downloading a file of more than `most` bytes.
    """
    cached = [_cached(repository, names, revision) for names in wanted]
    paths = [path for path in cached if path is not None]
    if len(paths) == len(wanted):
        return paths
    return [_download(repository, names, revision, most) for names in wanted]


def _cached(repository: str, names: Sequence[str], revision: str | None) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for name in names:
        try:
            return Path(hf_hub_download(repository, name, revision=revision, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
        except HFValidationError as error:
            raise HubError(first_line(error)) from error
    return None


def _download(
    repository: str, names: Sequence[str], revision: str | None, most: int | None
) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        RepositoryNotFoundError,
    )

    for name in names:
        try:
            # A single request first: a download retries a failed connection for half a minute.
            url = hf_hub_url(repository, name, revision=revision)
            size = get_hf_file_metadata(url, timeout=_PATIENCE).size
        except EntryNotFoundError:
            continue
        except RepositoryNotFoundError as error:
            raise HubError(
                f"the hub has no repository {repository}, or it needs a token (HF_TOKEN)"
            ) from error
        except HfHubHTTPError as error:
            raise HubError(f"the hub said: {type(error).__name__}: {first_line(error)}") from error
        except Exception as error:  # the HTTP client depends on the version of huggingface_hub
            raise HubError(
                f"the model hub cannot be reached from here ({type(error).__name__}: "
                f"{first_line(error)})"
            ) from error
        if most is not None and (size is None or size > most):
            raise HubTooLarge(
                f"{name} of {repository} on the hub has {size} bytes, more than {most}"
            )
        try:
            return Path(hf_hub_download(repository, name, revision=revision))
        except Exception as error:
            raise HubError(
                f"downloading {name} failed ({type(error).__name__}: {first_line(error)})"
            ) from error
    raise HubError(f"{repository} on the hub has no {' or '.join(names)}")


def first_line(error: Exception) -> str:
    """Return the first line of an error of another library, which may be a page long or empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
