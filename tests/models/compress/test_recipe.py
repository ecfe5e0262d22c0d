"""Recipes: what is read, and that nothing is ignored."""

from dataclasses import dataclass
from typing import Literal

import pytest
from torch import nn

from hwc.models.compress.errors import CompressError
from hwc.models.compress.layers import check_coverage, treated
from hwc.models.compress.method import Method, Work
from hwc.models.compress.recipe import (
    Activations,
    Biases,
    Recipe,
    check_validation,
    load_recipe,
    parse,
)


@dataclass(frozen=True)
class Fake(Method):
    bits: int = 4
    rate: float = 0.5
    shares: tuple[float, ...] = ()
    form: Literal["a", "b"] = "a"
    start: float | None = None
    on: bool = False

    def refuses(self, layer: nn.Module) -> str | None:
        return "needs a Linear" if not isinstance(layer, nn.Linear) else None

    def apply(self, work: Work) -> None:
        pass


METHODS = {"fake": Fake}
NET = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 4), nn.Linear(4, 2))


def read(text: str) -> Recipe:
    return parse(text, METHODS)


def test_everything_a_recipe_can_say():
    recipe = read(
        """
        seed = 3
        validation = 0
        except = ["0"]
        activations = false
        [start]
        epochs = 2
        [train]
        distill = 1
        [biases]
        bits = 6
        [[step]]
        method = "fake"
        layers = ["2"]
        except = ["3"]
        shares = [1, 0.5]
        form = "b"
        start = 2
        [[step]]
        method = "fake"
        """
    )
    assert (recipe.seed, recipe.validation, recipe.excepted) == (3, 0.0, ("0",))
    assert (recipe.activations, recipe.biases) == (None, Biases(6))
    assert (recipe.start.epochs, recipe.train.distill) == (2, 1.0)
    first, second = recipe.steps
    assert (first.layers, first.excepted) == (("2",), ("3",))
    assert first.method == Fake(shares=(1.0, 0.5), form="b", start=2.0)
    assert second.method == Fake()
    assert recipe.train.shift == 0
    assert read('[[step]]\nmethod = "fake"').activations == Activations(8)


STEP = '[[step]]\nmethod = "fake"\n'
WRONG = {
    "seeds = 1\n" + STEP: r"recipe: unknown key 'seeds'; known are seed, validation, except, start",
    "[train]\nepochs = 1\n" + STEP: r"\[train\]: unknown key 'epochs'; known are batch, shift",
    STEP + "bit = 1": r"step 1 \(fake\): unknown key 'bit'; known are bits, rate, .*layers, except",
    '[[step]]\nmethod = "f"': r"step 1: no method 'f'; the methods are fake",
    "[[step]]": "step 1: no method None",
    "seed = 1": r"at least one \[\[step\]\]",
    STEP + 'bits = "4"': r"step 1 \(fake\): bits: must be int, got '4'",
    STEP + "bits = 4.0": "bits: must be int, got 4.0",
    STEP + "bits = true": "bits: must be int, got True",
    STEP + "on = 1": "on: must be bool, got 1",
    STEP + "shares = 0.5": "shares: must be .*float.*, got 0.5",
    STEP + 'form = "c"': "form: must be .*'a', 'b'.*, got 'c'",
    STEP + 'layers = "fc"': "layers: must be .*str.*, got 'fc'",
    "step = [1]": r"steps are written \[\[step\]\]",
    "[[step]]\nmethod = ['fake']": r"step 1: no method \['fake'\]; the methods are fake",
    "seed = -1\n" + STEP: r"seed must be 0\.\.2\*\*63 - 1, got -1",
    STEP + "rate = nan": r"step 1 \(fake\): rate must be at least 0 and at most .*, got nan",
    STEP + "rate = -0.1": r"step 1 \(fake\): rate must be at least 0",
    STEP + "shares = [1, inf]": r"step 1 \(fake\): shares must be .*, got inf",
    STEP + "bits = 10_000_000_000": "bits must be .*at most 1,000,000,000, got 10000000000",
    "[start]\nepochs = -1\n" + STEP: r"\[start\]: epochs must be at least 0",
    "[start]\nlr = 0\n" + STEP: r"\[start\]: lr must be above 0",
    "[train]\nshift = nan\n" + STEP: r"\[train\]: shift must be .*, got nan",
    "[step]\nmethod = 'fake'": r"steps are written \[\[step\]\]",
    "validation = 1.0\n" + STEP: "validation must be a share 0..1, got 1.0",
    "[train]\ndistill = 2\n" + STEP: "distill must be a share 0..1, got 2",
    "[activations]\nbits = 17\n" + STEP: "bits must be 1..16, got 17",
    "train = 3\n" + STEP: r"\[train\]: must be a table, got 3",
    "seed = ": "not TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_mistakes_are_named(text):
    with pytest.raises(CompressError, match=WRONG[text]):
        read(text)


BEYOND = {
    "magnitude": ("density = 0", "density = 1.01", "lr = -1", "epochs = -1"),
    "gradual": ("densities = [0.5, 2]", "updates = 0", "ramp = nan"),
    "n_of_m": ("n = 0", "m = 0", "m = -4", "n = 4"),
    "product_quantization": ("length = 0", "k = 0"),
    "residual_quantization": ("stages = 0",),
    "kmeans": ("k = 0", "rate = -1"),
    "hash": ("ratio = 0", "ratio = nan"),
    "surgery": ("c = nan", "stop = 2", "gamma = -1", "power = nan"),
    "obd": ("density = nan", "density = -1", "per_round = 1"),
    "obs_global": ("images = 0", "damping = 0", "density = nan"),
    "regularized": ("rate = -1", "tune = -1"),
    "biased_decay": ("least = 5", "weight = -1"),
    "channels": ("keep = 0", "round_to = 0", "sparse_epochs = -1", "rate = nan"),
    "merging": ("keep = nan",),
    "soft_sharing": ("components = 0", "tau = nan", "mixture_lr = 0"),
    "uniform_bins": ("width = 0",),
    "binary": ("scale = 0",),
    "trained_ternary": ("share = 2",),
    "fixed_point": ("lr = nan", "bits = 0"),
    "levels": ("hi = 0", "epochs = -1"),
    "uniform": ("bits = 1",),
}


@pytest.mark.parametrize(("name", "option"), [(n, o) for n in BEYOND for o in BEYOND[n]])
def test_options_out_of_range_are_refused_before_anything_runs(name, option):
    """Some of them would do nothing, or never end."""
    with pytest.raises(CompressError, match=rf"step 1 \({name}\): .*"):
        parse(f'[[step]]\nmethod = "{name}"\n{option}')


def test_files_that_are_none(tmp_path):
    with pytest.raises(CompressError, match=r"x\.toml: cannot be read: No such file"):
        load_recipe(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(CompressError, match="not a text file"):
        load_recipe(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_text("sed = 1")
    with pytest.raises(CompressError, match=r"x\.toml: recipe: unknown key 'sed'"):
        load_recipe(tmp_path / "x.toml")


def test_a_layer_that_cannot_be_treated_is_an_error_or_a_named_exception():
    (step,) = read(STEP).steps
    with pytest.raises(
        CompressError,
        match=r"step 1 \(fake\): layer '0' \(Conv2d\) needs a Linear; .*except = \[\"0\"\]",
    ):
        treated(step, 1, NET)
    (step,) = read(STEP + 'except = ["0"]').steps
    assert list(treated(step, 1, NET)) == ["2", "3"]


def test_a_layer_that_no_step_names_is_an_error():
    with pytest.raises(CompressError, match="no step treats layer '0'"):
        check_coverage(read(STEP + 'layers = ["2", "3"]'), NET)
    check_coverage(read('except = ["0"]\n' + STEP + 'layers = ["2", "3"]'), NET)


def test_patterns_that_match_nothing():
    with pytest.raises(CompressError, match="no layer is called 'fc'; the layers are 0, 2, 3"):
        check_coverage(read(STEP + 'layers = ["fc"]'), NET)
    (step,) = read(STEP + 'except = ["*"]').steps
    with pytest.raises(CompressError, match="every layer is excepted"):
        treated(step, 1, NET)


def test_recipes_of_the_benchmark_are_legal():
    from pathlib import Path

    folder = Path(__file__).parents[3] / "benchmarks" / "recipes"
    paths = sorted(folder.glob("*/*.toml"))
    assert paths
    for path in paths:
        check_validation(load_recipe(path))


def test_what_the_recipe_excepts_no_step_treats():
    recipe = read('except = ["0"]\n' + STEP + STEP + 'layers = ["0", "2"]')
    check_coverage(recipe, NET)
    first, second = recipe.steps
    assert list(treated(first, 1, NET, recipe.excepted)) == ["2", "3"]
    assert list(treated(second, 2, NET, recipe.excepted)) == ["2"]


@pytest.mark.parametrize(
    "options", ['"obs"', '"product_quantization"\nlength = 1\nresponse = true']
)
@pytest.mark.parametrize(
    ("more", "why"), [({"groups": 2}, "groups"), ({"padding": "same"}, "same")]
)
def test_layers_without_common_rows_are_refused_by_name(options, more, why):
    (step,) = parse(f"[[step]]\nmethod = {options}").steps
    net = nn.Sequential(nn.Conv2d(2, 4, 3, **more), nn.Flatten())
    with pytest.raises(CompressError, match=rf"step 1 .*: layer '0' \(Conv2d\) .*{why}"):
        treated(step, 1, net)


def test_weights_that_others_make_are_refused_by_name():
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))
    with pytest.raises(CompressError, match="layer '0': its weight is made by _WeightNorm; settle"):
        check_coverage(parse('[[step]]\nmethod = "uniform"'), net)
