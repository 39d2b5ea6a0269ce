"""The libraries as another app takes them: out of a Maven repository, with Maven itself."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

import exporter

from .conftest import ROOT, RunTool

DEMO = ROOT / "android_demo"
POM = "{http://maven.apache.org/POM/4.0.0}"
NAMES = ("core", "runtime-photos", "runtime-lite", "runtime-executorch")
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


@pytest.fixture(scope="module")
def repository(run_tool: RunTool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "maven"
    result = run_tool("publish.py", folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.split() == [f"dev.torchmobile:{name}:{version()}" for name in NAMES]
    return folder


def version() -> str:
    from build_apk import versions

    return versions()["torchmobile"]


def _files(repository: Path, name: str) -> Path:
    return repository / "dev/torchmobile" / name / version() / f"{name}-{version()}"


def test_every_file_has_its_checksums(repository: Path) -> None:
    files = [p for p in repository.rglob("*") if p.suffix in (".jar", ".pom", ".xml")]
    # Of each library: jar, sources, POM, and the list of versions.
    assert len(files) == 4 * len(NAMES)
    for path in files:
        for kind in ("md5", "sha1", "sha256", "sha512"):
            stated = path.with_name(f"{path.name}.{kind}").read_text(encoding="ascii")
            assert stated == hashlib.new(kind, path.read_bytes()).hexdigest()


def test_publishing_again_gives_the_same_bytes_and_lists_both_versions(
    repository: Path, tools: None, tmp_path: Path
) -> None:
    from publish import publish

    older = tmp_path / "dev/torchmobile/core/0.0.9"
    older.mkdir(parents=True)
    (older / "core-0.0.9.pom").write_text("<project/>", encoding="utf-8")
    publish(tmp_path)
    listed = ElementTree.parse(tmp_path / "dev/torchmobile/core/maven-metadata.xml")
    assert [v.text for v in listed.iter("version")] == ["0.0.9", version()]
    for path in repository.rglob("*.jar"):
        assert (tmp_path / path.relative_to(repository)).read_bytes() == path.read_bytes()


def test_the_poms_ask_for_what_gradle_asks_for(repository: Path) -> None:
    """Scope by scope: `api` is compile, `implementation` and `runtimeOnly` are runtime."""
    tomllib = pytest.importorskip("tomllib")
    catalog = tomllib.loads((DEMO / "gradle/libs.versions.toml").read_text(encoding="utf-8"))
    for name in NAMES:
        tree = ElementTree.parse(f"{_files(repository, name)}.pom")
        found = {
            tuple(d.findtext(f"{POM}{part}", "") for part in ("artifactId", "version", "scope"))
            for d in tree.iter(f"{POM}dependency")
        }
        folder = name.replace("runtime-", "runtime/")
        script = (DEMO / folder / "build.gradle").read_text(encoding="utf-8")
        wanted = set()
        scopes = {"api": "compile", "implementation": "runtime", "runtimeOnly": "runtime"}
        pattern = r"(?m)^    (api|implementation|runtimeOnly)\((?:project\(\"(.+?)\"\)|libs\.(\w+))"
        for kind, module, alias in re.findall(pattern, script):
            if module:
                wanted.add((module.strip(":").replace(":", "-"), version(), scopes[kind]))
            else:
                entry = catalog["libraries"][alias]
                ref = catalog["versions"][entry["version"]["ref"]]
                wanted.add((entry["name"], ref, scopes[kind]))
        if name == "core":
            # Kotlin's plugin adds its library by itself.
            wanted.add(("kotlin-stdlib", catalog["versions"]["kotlin"], "compile"))
        assert found == wanted


def test_the_jars_carry_services_rules_and_sources(repository: Path) -> None:
    for name in NAMES:
        with zipfile.ZipFile(f"{_files(repository, name)}.jar") as jar:
            names = jar.namelist()
        with zipfile.ZipFile(f"{_files(repository, name)}-sources.jar") as packed:
            kotlin = {n for n in packed.namelist() if n.endswith(".kt")}
        folder = DEMO / name.replace("runtime-", "runtime/") / "src/main/kotlin"
        assert kotlin == {str(p.relative_to(folder)) for p in folder.rglob("*.kt")}
        is_runtime = name in ("runtime-lite", "runtime-executorch")
        assert ("META-INF/services/dev.torchmobile.core.Runtime" in names) == is_runtime
        rules = [n for n in names if n.startswith("META-INF/proguard/")]
        assert len(rules) == int(name != "runtime-photos")
        assert not [n for n in names if n.startswith(("org/pytorch/", "android/", "com/"))]


@pytest.fixture(scope="module")
def resolved(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What Maven fetches for one line, `dev.torchmobile:runtime-lite`.

    The lite interpreter in the version that is served here, as an app may choose it.
    """
    from downloads import pins

    (pin,) = [p.coordinates.split(":") for p in pins() if "runtime" in p.groups]
    folder = tmp_path_factory.mktemp("consumer")
    (folder / "pom.xml").write_text(
        f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
        <groupId>consumer</groupId><artifactId>consumer</artifactId><version>1</version>
        <packaging>pom</packaging>
        <repositories><repository><id>published</id><url>{repository.as_uri()}</url></repository>
        </repositories>
        <dependencyManagement><dependencies><dependency><groupId>{pin[0]}</groupId>
        <artifactId>{pin[1]}</artifactId><version>{pin[2]}</version><type>aar</type></dependency>
        </dependencies></dependencyManagement>
        <dependencies><dependency><groupId>dev.torchmobile</groupId>
        <artifactId>runtime-lite</artifactId><version>{version()}</version></dependency>
        </dependencies></project>""",
        encoding="utf-8",
    )
    # A local repository of its own for what is ours: an older build must not be found instead.
    command = ["mvn", "-B", "-q", "--strict-checksums", "-f", str(folder / "pom.xml"), COPY]
    command += [f"-DoutputDirectory={folder / 'jars'}", f"-Dmaven.repo.local={folder / 'm2'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return sorted((folder / "jars").iterdir())


def test_one_line_brings_everything_that_runs_a_ptl(resolved: list[Path]) -> None:
    names = {re.sub(r"-[\d.]+(-.*)?\.(jar|aar)$", r".\2", path.name) for path in resolved}
    assert names >= {
        "core.jar", "runtime-photos.jar", "runtime-lite.jar", "pytorch_android_lite.aar",
        "gson.jar", "kotlin-stdlib.jar", "fbjni-java-only.jar", "nativeloader.jar",
    }  # fmt: skip


def _classpath(resolved: list[Path]) -> list[Path]:
    from compile import aar_classes

    return [aar_classes(path) if path.suffix == ".aar" else path for path in resolved]


def readme_example() -> str:
    """The Kotlin of android_demo/README.md."""
    text = (DEMO / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```kotlin\n(import .*?)```", text, flags=re.DOTALL)
    return str(example)


def test_the_example_of_the_readme_compiles_against_what_was_published(
    resolved: list[Path], tmp_path: Path
) -> None:
    from compile import framework_classes, kotlinc

    example = tmp_path / "Example.kt"
    example.write_text(readme_example(), encoding="utf-8")
    code = [line for line in readme_example().splitlines() if line and "import" not in line]
    assert len(code) <= 10
    folder = kotlinc([example], [*_classpath(resolved), framework_classes()], module="example")
    assert list(folder.glob("ExampleKt.class"))


MAIN = """
import dev.torchmobile.core.VisionError
import dev.torchmobile.core.VisionModel
import java.io.File
import kotlin.system.exitProcess

fun main(arguments: Array<String>) {
    for (path in arguments) {
        try {
            VisionModel.open(File(path)).use { println(it.verify().sentence) }
        } catch (error: VisionError) {
            println(error.message)
        }
    }
    exitProcess(0)
}
"""


def test_what_was_published_finds_its_runtime_and_verifies_a_model(
    resolved: list[Path], tmp_path: Path
) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the AAR's desktop-loadable library is x86_64")
    from compile import joined, kotlinc
    from desktop_native import environment, native_folder

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()).eval()
    made = exporter.export(net, out=tmp_path, input_shape=(1, 3, 8, 8))
    source = tmp_path / "Main.kt"
    source.write_text(MAIN, encoding="utf-8")
    classpath = _classpath(resolved)
    classes = kotlinc([source], classpath, module="main")
    native = native_folder()
    command = ["java", f"-Djava.library.path={native}", "-cp", joined([classes, *classpath])]
    done = subprocess.run(
        [*command, "MainKt", str(made.path), str(tmp_path / "none.ptl")],
        capture_output=True, text=True, timeout=300, check=False, env=environment(native),
    )  # fmt: skip
    verified, absent = done.stdout.strip().splitlines()
    assert verified.startswith("Verified on this device: "), done.stdout + done.stderr
    assert absent.startswith("none.ptl does not load: there is no such file.")
