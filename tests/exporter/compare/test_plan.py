"""Plans: what is compared, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from exporter.compare.plan import ComparePlan, Limits, ModelChoice, Trial, as_values, read_plan
from exporter.errors import ExportError, RecipeError, UsageError

from .trials import plan


def test_every_model_with_every_recipe_size_and_format() -> None:
    trials = plan(
        "resnet18", "own:net", recipes=("none", "dynamic"), input_sizes=(160, 224),
        formats=("ptl", "pte"),
    ).trials()  # fmt: skip
    assert len(trials) == 16
    assert [t.name for t in trials[:4]] == [
        "resnet18-160", "resnet18-160", "resnet18-dynamic-160", "resnet18-dynamic-160",
    ]  # fmt: skip
    assert trials[0].options(Path("out")).input_shape == (1, 3, 160, 160)
    assert trials[2].options(Path("out")).quantize.method == "dynamic"


def test_calibration_goes_to_the_recipes_that_take_it(tmp_path: Path) -> None:
    trials = plan(
        "a", recipes=("none", "static", "dynamic", "auto"), calibration=tmp_path, evaluate=tmp_path
    ).trials()
    given = {t.recipe: t.options(Path("out")).quantize for t in trials}
    assert {name: q.calibration for name, q in given.items()} == {
        "none": None, "static": tmp_path, "dynamic": None, "auto": tmp_path,
    }  # fmt: skip
    assert given["static"].evaluate is None, "it is judged afterwards, like all others"
    assert given["auto"].evaluate == tmp_path, "it chooses by these images"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"recipes": ("static",)}, "--calibration DIR"),
        ({"recipes": ("statik",)}, "no recipe 'statik'"),
        ({"recipes": ("qat",)}, "does not train"),
        ({"recipes": ("none", "none")}, "Two files would be called a.ptl"),
        ({"input_sizes": (0,)}, "positive sizes"),
        ({"formats": ("onnx",)}, "ptl, pte or ptl,pte"),
        ({"rounds": 0}, "rounds"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_what_does_not_go_together_is_refused_at_once(
    options: dict[str, object], says: str
) -> None:
    with pytest.raises(ExportError, match=says):
        plan("a", **options)


def test_no_model_is_no_comparison() -> None:
    with pytest.raises(UsageError, match="at least one model"):
        ComparePlan(models=())


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("resnet18.a1_in1k", "resnet18"),
        ("my.models:make", "make"),
        ("hf-hub:timm/resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("hf-hub:timm/vit@main", "vit"),
    ],
)
def test_files_are_called_as_export_calls_them(model: str, name: str) -> None:
    assert ModelChoice(model=model).name == name


def test_a_plan_file_is_the_same_as_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        """
        recipes = ["none", "static"]
        input_sizes = [96]
        calibration = "photos"
        random_weights = true
        models = ["a", { model = "b", weights = "b.pt", random_weights = false, name = "mine" }]
        [budget]
        mb = 10
        minstr = 200
        """,
        encoding="utf-8",
    )
    found = read_plan(tmp_path / "plan.toml")
    assert found == ComparePlan(
        models=(
            ModelChoice(model="a", random_weights=True),
            ModelChoice(model="b", weights=tmp_path / "b.pt", name="mine"),
        ),
        recipes=("none", "static"),
        input_sizes=(96,),
        calibration=tmp_path / "photos",
        budget=Limits(mb=10, minstr=200),
    )
    assert as_values(found)["budget"] == {"mb": 10, "minstr": 200}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models = [", "is not TOML"),
        ('modles = ["a"]', "no 'modles'.*models"),
        ("models = 3", "a list of names"),
        ("models = [3]", "a name or a table"),
        ('models = [{ name = "a" }]', "A model has a name"),
        ('models = ["a"]\n[budget]\nmegabytes = 3', "no 'megabytes'"),
        ('models = ["a"]\nrounds = "many"', "--rounds takes a whole number"),
    ],
)
def test_a_plan_file_that_says_nothing_sensible(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        read_plan(path)


def test_a_plan_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot read .*gone.toml"):
        read_plan(tmp_path / "gone.toml")


def test_a_budget() -> None:
    assert Limits.parse("mb=10, ms=20.5,minstr=200") == Limits(mb=10, ms=20.5, minstr=200)
    assert str(Limits(mb=10, ms=20.5)) == "mb <= 10, ms <= 20.5"
    assert not Limits()


@pytest.mark.parametrize("text", ["mb=ten", "mb=0", "mb=-1", "mb=nan", "gb=1", "10", ""])
def test_a_budget_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        Limits.parse(text)


@pytest.mark.parametrize("calibration", ["noise", Path("noise"), Path("photos"), None])
def test_a_trial_survives_its_way_into_another_process(calibration: Path | str | None) -> None:
    recipe = "none" if calibration is None else "static"
    (trial,) = plan("a", recipes=(recipe,), calibration=calibration).trials()
    trial = trial.absolute()
    kind = TypeAdapter(Trial)
    assert kind.validate_json(kind.dump_json(trial)).options(Path("x")) == trial.options(Path("x"))


def test_recipe_errors_keep_their_kind() -> None:
    with pytest.raises(RecipeError):
        plan("a", recipes=("quick",))


def test_what_files_take_is_part_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text('models = ["test_vit"]\ninput = "tensor"\n', "utf-8")
    (trial,) = read_plan(tmp_path / "plan.toml").trials()
    assert trial.options(tmp_path).input == "tensor"
    with pytest.raises(UsageError, match="--input takes auto, image or tensor, not 'photo'"):
        plan("test_vit", input="photo")
