"""`pytest --artifact FILE.ptl`: the properties of an artifact as tests of your own suite.

Every pytest run imports this module, so it imports nothing heavy until an artifact is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from .errors import RuntimeCheckError
from .options import (
    DEFAULT_DEADLINE,
    DEFAULT_MEMORY,
    DEFAULT_TIMEOUT,
    CheckOptions,
    ProfileName,
    RuntimeName,
    bytes_of,
)
from .printable import printable

if TYPE_CHECKING:
    from .properties.base import Check, PropertyResult


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; all are about `--artifact`."""
    group = parser.getgroup("runtime_check", "lite-interpreter artifacts (runtime_check)")
    group.addoption(
        "--artifact",
        action="append",
        default=[],
        metavar="FILE.ptl",
        help="check this artifact's properties as tests; repeatable",
    )
    group.addoption(
        "--artifact-run-on",
        default="host",
        choices=get_args(RuntimeName),
        help="runtime that runs it",
    )
    group.addoption(
        "--artifact-examples", type=int, default=None, help="number of inputs for each property"
    )
    group.addoption("--artifact-seed", type=int, default=0, help="seed of the inputs")
    group.addoption(
        "--artifact-profile",
        default="ci",
        choices=get_args(ProfileName),
        help="effort: ci is quick, nightly thorough",
    )
    group.addoption("--artifact-reference", default=None, help="timm name or package.mod:factory")
    group.addoption("--artifact-weights", default=None, help="checkpoint of the reference")
    group.addoption(
        "--artifact-timeout",
        type=float,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="limit for one answer of the runtime",
    )
    group.addoption(
        "--artifact-deadline",
        type=float,
        default=DEFAULT_DEADLINE,
        metavar="SECONDS",
        help="limit for all of a file's answers together",
    )
    group.addoption(
        "--artifact-memory",
        type=float,
        default=DEFAULT_MEMORY / 2**30,
        metavar="GIB",
        help="limit beyond what torch itself maps",
    )
    group.addoption(
        "--artifact-trust-factory", action="store_true", help="call the factory the file names"
    )
    group.addoption(
        "--artifact-allow-large",
        action="store_true",
        help="build the model the file names whatever its size",
    )
    group.addoption(
        "--artifact-verify-key", default=None, help="public key that must have signed it"
    )


def _options(config: pytest.Config) -> CheckOptions:
    option = config.getoption
    weights = option("--artifact-weights")
    return CheckOptions(
        run_on=option("--artifact-run-on"),
        examples=option("--artifact-examples"),
        seed=option("--artifact-seed"),
        profile=option("--artifact-profile"),
        reference=option("--artifact-reference"),
        weights=None if weights is None else Path(weights),
        trust_factory=option("--artifact-trust-factory"),
        verify_key=option("--artifact-verify-key"),
        timeout=option("--artifact-timeout"),
        deadline=option("--artifact-deadline"),
        memory=bytes_of(option("--artifact-memory")),
        allow_large=option("--artifact-allow-large"),
    )


class ArtifactFailure(Exception):
    """A property that does not hold; its text is the whole report."""


class ArtifactNode(pytest.Collector):
    """One artifact: loaded once, when its first property runs."""

    def __init__(self, *, file: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.stack = ExitStack()
        self.check: Check | None = None
        self.error: Exception | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """Yield one test a property."""
        from .properties import PROPERTIES

        for name, function in PROPERTIES.items():
            yield PropertyItem.from_parent(self, name=name, function=function)

    def opened(self) -> Check:
        """Load the artifact and rebuild its reference, the first time; raise what that raised."""
        from .checking import open_check

        if self.error is not None:
            raise self.error
        if self.check is None:
            try:
                options = _options(self.config)
                opened = self.stack.enter_context(open_check(self.file, options))
            except RuntimeCheckError as error:
                self.error = error
                raise
            self.check = opened.check
        return self.check

    def teardown(self) -> None:
        """Stop the process that holds the artifact."""
        self.stack.close()


class PropertyItem(pytest.Item):
    """One property of one artifact."""

    def __init__(self, *, function: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._function = function

    def runtest(self) -> None:
        """Check the property; skipped where it does not apply, with its reason."""
        from .properties.counterexample import replay_command

        node = self.parent
        assert isinstance(node, ArtifactNode)
        result: PropertyResult = self._function(node.opened())
        if result.status == "skipped":
            pytest.skip(printable(result.reason))
        if result.status == "noted":
            self.add_report_section("call", "note", printable(result.reason, lines=True))
        if not result:
            lines = [f"{result.status} ({result.fault}): {result.reason}"]
            if result.minimal:
                lines.append(f"smallest input that fails: {result.minimal}")
            if result.counterexample is not None:
                run_on = self.config.getoption("--artifact-run-on")
                lines.append(f"again: {replay_command(node.file, run_on, result.counterexample)}")
            raise ArtifactFailure("\n".join(lines))

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None
    ) -> str | Any:
        """Show the finding alone: a traceback through this package helps nobody."""
        if isinstance(excinfo.value, (ArtifactFailure, RuntimeCheckError)):
            return printable(str(excinfo.value), lines=True)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the test after the artifact and the property."""
        assert isinstance(self.parent, ArtifactNode)
        return self.parent.file, None, self.name


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the properties of every `--artifact` to what was collected."""
    names = config.getoption("--artifact")
    try:
        if names:
            _options(config)
    except RuntimeCheckError as error:
        raise pytest.UsageError(str(error)) from error
    for name in names:
        path = Path(name)
        if not path.is_file():
            raise pytest.UsageError(f"--artifact {name}: there is no such file.")
        node = ArtifactNode.from_parent(
            session, name=printable(path.name), nodeid=printable(name), file=path
        )
        items.extend(node.collect())
