"""`hwc compress`: what goes in, what comes out, and what it says if it cannot."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from hwc.compiler.cli import application
from hwc.compiler.compressing import share
from hwc.compiler.lower import agree, lower
from hwc.models import InputMap, load, load_data
from hwc.models.checkpoint import save
from hwc.models.compress import CompressError

RECIPE = """
[start]
epochs = 4
lr = 5e-3
[[step]]
method = "uniform"
bits = 4
"""


class Small(nn.Module):
    """A ReLU network as a user writes it."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(64, 16)
        self.two = nn.Linear(16, 10)

    def forward(self, x):
        return self.two(torch.relu(self.one(x.flatten(1))))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def run(*args: object):
    return CliRunner().invoke(application(), ["compress", *map(str, args)])


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save(Small(), torch.zeros(1, 1, 8, 8), tmp_path / "model.pt", inputs=InputMap(1 / 16, 0, 16))
    return tmp_path / "model.pt"


def test_a_float_checkpoint_becomes_one_that_lowers(checkpoint, recipe, tmp_path):
    out = tmp_path / "small.pt"
    result = run(
        checkpoint, "--recipe", recipe, "--data", "digits", "-o", out, "--json", "--samples", 5
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [(x["name"], x["kind"]) for x in report["layers"]] == [("one", "int4"), ("two", "int4")]
    assert report["output"] == str(out)
    assert report["file_bytes_with_samples"] == out.stat().st_size > report["file_bytes"]
    read = load(out)
    assert read.name == "model"
    assert len(read.labels if read.labels is not None else ()) == 5
    lowered = lower(read.source)
    assert agree(read.source, lowered, read.samples).differing == 0


def test_a_network_that_is_trained_first(recipe, tmp_path):
    out, report = tmp_path / "small.pt", tmp_path / "report.json"
    args = ("lenet-300-100", "--recipe", recipe, "--data", "digits", "-o", out)
    result = run(*args, "--report", report)
    assert result.exit_code == 0, result.output
    assert "test accuracy" in result.output
    record = json.loads(report.read_text())
    assert record["accuracy"]["float"] > 0.85
    assert record["file_bytes"] == out.stat().st_size
    again = run(*args)
    assert again.exit_code == 2
    assert "pass --overwrite" in again.output


def test_fewer_images_serve_for_training_and_for_the_accuracy(recipe, tmp_path):
    out = tmp_path / "small.pt"
    args = ("lenet-300-100", "--recipe", recipe, "--data", "digits", "-o", out, "--images", 100)
    result = run(*args, "--json", "--samples", 128)
    assert result.exit_code == 0, result.output
    labels = load(out).labels
    assert labels is not None
    assert np.bincount(labels).tolist() == [10] * 10
    for accuracy in json.loads(result.stdout)["accuracy"].values():
        assert round(100 * accuracy) == pytest.approx(100 * accuracy)


def test_a_state_dict_with_its_class(recipe, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def Net():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 10))
    torch.save(model.state_dict(), tmp_path / "state.pt")
    args = ("state.pt", "--recipe", recipe, "--data", "digits", "-o", tmp_path / "small.pt")
    result = run(*args, "--arch", "mine:Net")
    assert result.exit_code == 0, result.output
    assert lower(load(tmp_path / "small.pt").source)
    (tmp_path / "small.pt").unlink()
    wrong = run(*args, "--arch", "mine:Nothing")
    assert (wrong.exit_code, "has no attribute 'Nothing'" in wrong.output) == (1, True)
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "state.pt")
    wrong = run(*args, "--arch", "mine:Net")
    assert (wrong.exit_code, "no state_dict of mine:Net" in wrong.output) == (1, True)
    sys.modules.pop("mine")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    def __init__(self): raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("    def __init__(self: pass", "SyntaxError"),
        ("    def __init__(self, width): pass", "missing 1 required positional argument"),
        ("    def load_state_dict(self, state): pass", "is a Net, no torch.nn.Module"),
    ],
)
def test_whatever_a_users_module_raises_is_said(body, said, recipe, tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(f"class Net:\n{body}\n")
    torch.save(Small().state_dict(), tmp_path / "state.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    result = run(
        "state.pt", "--recipe", recipe, "-o", "x.pt", "--data", "digits", "--arch", "theirs:Net"
    )
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


def test_report_and_output_are_two_files(recipe, tmp_path):
    result = run("x", "--recipe", recipe, "-o", tmp_path / "y", "--report", tmp_path / "y")
    assert result.exit_code == 2
    assert "is the output too; name two files" in result.output


def test_an_onnx_file(recipe, tmp_path):
    onnx = pytest.importorskip("onnx")
    rng = np.random.default_rng(0)
    helper, number = onnx.helper, onnx.numpy_helper.from_array
    values = {"w": rng.standard_normal((64, 10)), "b": rng.standard_normal(10)}
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w", "b"], ["y"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", 1, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", 1, ["n", 10])],
        [number(v.astype(np.float32), k) for k, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "net.onnx")
    out = tmp_path / "small.pt"
    result = run(tmp_path / "net.onnx", "--recipe", recipe, "--data", "digits", "-o", out)
    assert result.exit_code == 0, result.output
    source = load(out).source
    assert (source.inputs[0].lo, source.inputs[0].hi) == (0, 16)
    x = load_data("digits").x_test[:20].astype(np.int64)
    assert agree(source, lower(source), {source.inputs[0].name: x}).differing == 0


WRONG = [
    (("nothing.pt", "--data", "digits"), 1, "nothing.pt: no such file"),
    (("lenet-7", "--data", "digits"), 1, "no network 'lenet-7'; the networks are lenet-300-100"),
    (("lenet-300-100",), 1, "--data must name the data set"),
    (("lenet-300-100", "--data", "digit"), 1, "neither a data set"),
    (("lenet-5", "--data", "digits"), 1, "images must be 16x16 or larger, digits has 8x8"),
    (("lenet-300-100", "--data", "digits", "--max-drop", "2"), 1, "must be a share such as 0.5%"),
    (("x.pt", "--data", "digits", "--arch", "mine"), 1, "must be module:Class"),
]


@pytest.mark.parametrize(("args", "code", "message"), WRONG)
def test_mistakes_are_named(args, code, message, recipe, tmp_path):
    result = run(*args, "--recipe", recipe, "-o", tmp_path / "small.pt")
    assert result.exit_code == code
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "small.pt").exists()


def test_shares():
    assert share("0.5%") == 0.005
    assert share("0.005") == 0.005
    with pytest.raises(CompressError, match="'half' must be a share"):
        share("half")


@pytest.mark.slow
def test_what_comes_out_builds_and_verifies(recipe, tmp_path, monkeypatch):
    """Pruned and ternary, from the recipe to a bundle whose RTL gives the reference's integers."""
    from hwc.compiler.build import Options, build

    monkeypatch.chdir(tmp_path)
    recipe.write_text(
        '[start]\nepochs = 6\nlr = 5e-3\n[[step]]\nmethod = "gradual"\ndensity = 0.3\nepochs = 4\n'
        '[[step]]\nmethod = "levels"\nepochs = 3\n'
    )
    out = tmp_path / "small.pt"
    result = run("lenet-300-100", "--recipe", recipe, "--data", "digits", "-o", out)
    assert result.exit_code == 0, result.output
    options = Options(out, "pynq-z2", tmp_path / "bundle", data="digits", verify_inputs=20)
    report = build(options)
    assert report.verified is not None
    assert report.verified.frames >= 20
    assert report.verified.mismatches == 0
    assert report.accuracy.differing_outputs == 0
    assert report.weights.nonzero_ratio < 0.35


@pytest.mark.slow
def test_resnet_50_loses_three_quarters_of_its_weights(tmp_path):
    """The recipe of docs/compression.md, on smaller images."""
    folder = Path(__file__).parents[2] / "benchmarks" / "recipes" / "resnet-50"
    out = tmp_path / "small.pt"
    result = run(
        "resnet-50", "--recipe", folder / "structured.toml", "--data", "noise:3x32x32",
        "--images", 10, "-o", out, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["parameters"] == 25_557_032 - 990 * 2049  # ten classes instead of a thousand
    assert report["nonzero_ratio"] > 4
    assert report["ratio"] > 16
    assert report["file_bytes"] == out.stat().st_size
    assert load(out).source.nodes
