"""American spelling in all that is typed, printed or documented."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENDINGS = (".py", ".md", ".html", ".css", ".kt", ".kts", ".swift", ".xml", ".toml", ".yaml")
ENDINGS += (".c", ".cpp", ".h", ".json")

# Stems before -ise, -ised, -ising, -isation, -iser.
_ISE = (
    "apolog author binar canonical capital categor character custom discret equal factor familiar "
    "final general harmon initial item linear local material memor minim maxim mobil modular "
    "neutral normal optim organ parameter parametr penal polar priorit quant random recogn regular "
    "serial special stabil standard summar symbol symmetr synchron token util vector visual"
)
_OUR = "behavi col fav flav harb hon hum lab neighb rum"
_WORDS = (
    "ageing aluminium amongst analys(?:e|ed|es|ing) artefacts? burnt catalogues? centred? centres "
    "cheques? cosy defence dialogues? fibres? fulfils? grey(?:s|ish|er)? judgements? learnt "
    "licences? litres? manoeuvres? maths metres? millimetres? mould(?:s|ed)? offence orientated "
    "plough practis(?:e|ed|ing) pretence programmes? scepti[a-z]+ skilful spelt storeys? theatres? "
    "tonnes? tyres? whilst"
)
_DOUBLED = "cancell channell fuell labell levell modell signall travell tunnell"

BRITISH = re.compile(
    "|".join(
        (
            rf"(?:{'|'.join(_ISE.split())})is(?:e|ed|es|er|ers|ing|ation|ations)(?![a-z])",
            rf"(?<![a-z])(?:de|re)?(?:{'|'.join(_OUR.split())})our(?!c|t|g)[a-z]*",
            rf"(?<![a-z])(?:{'|'.join(_WORDS.split())})(?![a-z])",
            rf"(?<![a-z])(?:{'|'.join(_DOUBLED.split())})(?:ed|er|ing)(?![a-z])",
        )
    ),
    re.IGNORECASE,
)

# Names that are not ours.
NOT_OURS = re.compile(r"aria-labelledby|CameraCharacteristics")
# Words that stay: schema 1.0 spelled two fields so.
FIELDS_1_0 = {"licence", "specialised"}
ALLOWED = {
    "CHANGELOG.md": FIELDS_1_0,
    # Swift's own `Task.isCancelled`.
    "ios_demo/App/ContentView.swift": {"cancelled"},
    # Typed wrongly on purpose.
    "tests/exporter/cli/test_mistakes.py": {"centre"},
}


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    return [ROOT / name for name in listed if name.endswith(ENDINGS) and (ROOT / name).exists()]


def british(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines and words. Names are looked at part by part: `grey_levels`, `greyLevels`."""
    for number, line in enumerate(text.splitlines(), 1):
        parts = re.sub(r"([a-z])([A-Z])", r"\1 \2", NOT_OURS.sub("", line)).replace("_", " ")
        for match in BRITISH.finditer(parts):
            yield number, match[0]


def test_the_list_finds_them() -> None:
    text = "Quantised_layers of grey colours, requantisation, learnt labelledNames, neighbours"
    words = [word for _, word in british(text)]
    assert words == [
        "Quantised",
        "grey",
        "colours",
        "quantisation",
        "learnt",
        "labelled",
        "neighbours",
    ]
    assert not list(british("organism of four pours, characteristics, meter, programmer, analysis"))


def test_spelling_is_american() -> None:
    found = []
    for path in files():
        name = str(path.relative_to(ROOT))
        if path == Path(__file__):
            continue
        for line, word in british(path.read_text(encoding="utf-8")):
            if word.lower() not in ALLOWED.get(name, ()):
                found.append(f"{name}:{line}: {word}")
    assert not found, "\n".join(found)
