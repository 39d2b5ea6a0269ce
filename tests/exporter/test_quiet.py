"""What a user cannot act on is not shown; errors are."""

from __future__ import annotations

import logging
import warnings

import pytest

from exporter.quiet import quiet


@pytest.mark.parametrize("name", ["timm", "torch.utils._pytree"])
def test_warnings_and_library_chatter_are_silent_inside_and_back_afterwards(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger(name)
    before = logger.level
    with warnings.catch_warnings(record=True) as seen, quiet():
        warnings.simplefilter("default")
        with quiet():
            warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
            logger.warning("retrying")
    assert not seen
    assert "retrying" not in caplog.text
    assert logger.level == before


def test_errors_are_raised() -> None:
    with pytest.raises(ValueError, match="wrong"), quiet():
        raise ValueError("wrong")
