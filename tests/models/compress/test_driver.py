"""`compress`: the run, its file, its report, resuming."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from hwc.compiler.source import Quant, evaluate
from hwc.models import load
from hwc.models.compress import CompressError, Method, Recipe, Step, Work, compress, parse
from hwc.models.compress.driver import split
from hwc.models.compress.integers import round_biases
from hwc.models.copying import copy_of
from hwc.models.data import Dataset
from tests.models.compress.conftest import mlp

RECIPE = parse(
    """
    validation = 0.2
    [train]
    distill = 0.3
    [[step]]
    method = "gradual"
    density = 0.3
    epochs = 4
    lr = 5e-3
    [[step]]
    method = "levels"
    epochs = 3
    lr = 5e-3
    """
)


@pytest.fixture(scope="module")
def made(trained, digits):
    return compress(trained, RECIPE, digits, progress=False, name="small")


def test_what_comes_out_is_what_was_asked(made):
    first, second = made.report.layers
    assert (first.name, second.name) == ("fc1", "fc2")
    assert first.methods == ("gradual", "levels")
    assert (first.kind, first.bits) == ("ternary", 2)
    assert first.nonzero == round(0.3 * 64 * 24)
    quants = [n.op for n in made.checkpoint.source.nodes if isinstance(n.op, Quant)]
    assert [(q.lo, q.hi) for q in quants] == [(-1, 1), (0, 255), (-1, 1)]
    assert made.report.accuracy["fake_quant"] > 0.8


def test_file_reads_back_and_computes_the_same(made, digits, tmp_path):
    written = made.save(tmp_path / "small.pt")
    read = load(tmp_path / "small.pt")
    assert read.source == made.checkpoint.source
    assert len(written.data) == made.report.file_bytes == (tmp_path / "small.pt").stat().st_size
    x = digits.x_test[:50]
    expected = made.model.double()(torch.from_numpy(x).double() * digits.scale)
    name = read.source.inputs[0].name
    got = evaluate(read.source, {name: x.astype(np.int64)})[read.source.outputs[0]]
    np.testing.assert_array_equal(got, expected.detach().numpy())


def test_report_adds_up(made):
    report = made.report
    assert sum(report.encoded_bits.values()) == 8 * report.file_bytes
    assert report.ratio == round(4 * report.parameters / report.file_bytes, 2)
    assert report.parameters == 64 * 24 + 24 + 24 * 10 + 10
    assert report.macs == {"ternary": sum(x.nonzero for x in report.layers)}
    weights = sum(x.weights for x in report.layers)
    assert report.nonzero_ratio == round(weights / sum(x.nonzero for x in report.layers), 2)
    for layer in report.layers:
        assert layer.encoded["indices"] > 0
        assert layer.encoded["scales"] > 0
        assert layer.encoded["biases"] > 0
    gradual, levels = report.steps
    assert gradual.after == levels.before
    assert levels.before_tuning <= levels.after
    assert json.loads(report.to_json())["layers"][0]["name"] == "fc1"
    assert report.table().row_count == 2
    assert "test accuracy" in report.summary()


def test_the_same_again_gives_the_same_bytes(made, trained, digits, tmp_path):
    again = compress(trained, RECIPE, digits, progress=False, name="small")
    assert again.save(tmp_path / "a").data == made.save(tmp_path / "b").data


def test_model_and_test_part_are_left_alone(made, trained, digits):
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    rng = np.random.default_rng(0)
    other = dataclasses.replace(digits, y_test=rng.permutation(digits.y_test))
    again = compress(trained, RECIPE, other, progress=False, name="small")
    assert again.checkpoint.source == made.checkpoint.source
    assert again.report.accuracy != made.report.accuracy
    assert all(torch.equal(v, before[k]) for k, v in trained.state_dict().items())


def test_resume_finds_finished_steps(made, trained, digits, tmp_path):
    short = dataclasses.replace(RECIPE, steps=RECIPE.steps[:1])
    compress(trained, short, digits, progress=False, resume=tmp_path)
    assert len(list(tmp_path.glob("step1-*.pt"))) == 1
    calls = []

    def count(model: nn.Module) -> float:
        calls.append(model)
        return 0.5

    first = compress(trained, RECIPE, digits, progress=False, resume=tmp_path, name="small")
    assert len(list(tmp_path.glob("*.pt"))) == 2
    assert first.checkpoint.source == made.checkpoint.source
    second = compress(trained, RECIPE, digits, count, progress=False, resume=tmp_path)
    assert second.checkpoint.source == made.checkpoint.source
    assert all(model.training is False for model in calls)
    # Neither step trained: its fine-tuning alone would take longer than this.
    other = compress(trained, RECIPE, digits, progress=False, resume=tmp_path, name="small")
    assert other.report.steps[0].before_tuning == made.report.steps[0].before_tuning


def test_resume_ignores_what_belongs_to_something_else(trained, digits, tmp_path):
    compress(trained, RECIPE, digits, progress=False, resume=tmp_path)
    other = dataclasses.replace(RECIPE, seed=1)
    compress(trained, other, digits, progress=False, resume=tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 4
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(b"damaged")
    made = compress(trained, RECIPE, digits, progress=False, resume=tmp_path)
    assert made.report.layers[0].kind == "ternary"


def test_split_is_stratified_and_leaves_the_test_part_out(digits):
    part = split(digits, RECIPE)
    assert len(part.x_train) + len(part.x_test) == len(digits.x_train)
    for label in range(10):
        held, all_ = (part.y_test == label).sum(), (digits.y_train == label).sum()
        assert abs(held - 0.2 * all_) <= 0.5
    whole = split(digits, dataclasses.replace(RECIPE, validation=0.0))
    assert whole.x_test is digits.x_train
    tiny = Dataset("tiny", digits.x_train[:5], digits.y_train[:5], digits.x_test, digits.y_test)
    with pytest.raises(CompressError, match=r"validation = 0\.2 leaves no image"):
        split(tiny, RECIPE)


def test_biases_become_short_multiples(trained, digits):
    torch.manual_seed(1)
    model = mlp(digits)
    with torch.no_grad():
        model.fc2.bias.zero_()
    before = model.fc1.bias.detach().clone()
    round_biases(model, 5)
    after = model.fc1.bias.detach()
    step = 2.0**-3
    codes = after / step
    while not torch.equal(codes, codes.round()):  # the grid: a power of two
        step *= 0.5
        codes = after / step
    while torch.equal(after / (2 * step), (after / (2 * step)).round()):
        step *= 2
        codes = after / step
    assert 8 <= codes.abs().max() <= 15
    assert (after - before).abs().max() <= step / 2 + 1e-6
    assert not model.fc2.bias.any()


def test_a_network_that_does_not_fit(digits):
    with pytest.raises(CompressError, match="does not take images of"):
        compress(nn.Sequential(nn.Flatten(), nn.Linear(5, 10)), one(), digits, progress=False)
    with pytest.raises(CompressError, match="at least 10 classes for digits"):
        compress(nn.Sequential(nn.Flatten(), nn.Linear(64, 9)), one(), digits, progress=False)
    with pytest.raises(CompressError, match="no Linear, Conv1d or Conv2d"):
        compress(nn.Flatten(), one(), digits, progress=False)


def one():
    return parse('[[step]]\nmethod = "uniform"')


def test_eval_fn_takes_the_place_of_accuracy(trained, digits):
    made = compress(trained, one(), digits, lambda model: 0.25, progress=False)
    assert made.report.validation == {"float": 0.25, "compressed": 0.25}


def test_accuracy_is_measured_once_for_every_state(trained, digits):
    """The float network and the one that starts, then behind every step, and before its
    fine-tuning if there is any."""
    text = '[[step]]\nmethod = "magnitude"\ndensity = 0.9\nepochs = {}\n'
    for epochs, states in ((0, 3), (1, 4)):
        seen = iter([0.1, 0.2, 0.3, 0.4, 0.5])
        recipe = parse("biases = false\n" + text.format(epochs) + '[[step]]\nmethod = "uniform"')
        report = compress(
            trained, recipe, digits, lambda _, seen=seen: next(seen), progress=False
        ).report
        first, second = report.steps
        assert (first.before, first.before_tuning) == (0.1, 0.2)
        assert first.after == second.before == (0.3 if epochs else 0.2)
        assert second.before_tuning == second.after == report.validation["compressed"]
        assert report.validation["float"] == [0.1, 0.2, 0.3, 0.4, 0.5][states]


def test_max_drop_finds_the_smallest(trained, digits):
    recipe = parse('validation = 0.3\n[[step]]\nmethod = "uniform"')
    made = compress(trained, recipe, digits, max_drop=0.02, progress=False)
    report = made.report
    assert report.validation["float"] - report.validation["compressed"] <= 0.02
    fitting = [t["file_bytes"] for t in report.tries if t["fits"]]
    assert report.file_bytes == min(fitting)
    assert len(report.tries) > 2
    assert any(not t["fits"] for t in report.tries) or report.tries[1]["fits"]
    mild = compress(trained, recipe, digits, progress=False)
    assert report.file_bytes < mild.report.file_bytes


def test_max_drop_that_cannot_be_met(trained, digits):
    recipe = parse('[[step]]\nmethod = "uniform"')
    worse = iter([0.9, 0.9, 0.9, 0.5])

    def falling(model: nn.Module) -> float:
        return 0.9 if not hasattr(model.fc1, "parametrizations") else next(worse, 0.5) - 0.2

    with pytest.raises(CompressError, match="even at the mildest strength validation accuracy"):
        compress(trained, recipe, digits, falling, max_drop=0.01, progress=False)
    tune = parse('[[step]]\nmethod = "finetune"')
    with pytest.raises(CompressError, match="none of finetune"):
        compress(trained, tune, digits, max_drop=0.01, progress=False)
    none = dataclasses.replace(recipe, validation=0.0)
    with pytest.raises(CompressError, match="needs a validation split"):
        compress(trained, none, digits, max_drop=0.01, progress=False)


def test_max_drop_goes_on_where_a_strength_leaves_nothing(trained, digits):
    """At its strongest every weight is in the bin about 0."""
    recipe = parse('validation = 0.3\n[[step]]\nmethod = "uniform_bins"\nepochs = 0')
    report = compress(trained, recipe, digits, max_drop=0.02, progress=False).report
    refused = [t for t in report.tries if "refused" in t]
    assert refused[0]["strength"] == 1.0
    assert not refused[0]["fits"]
    assert "take all weights for 0" in refused[0]["refused"]
    assert report.file_bytes == min(t["file_bytes"] for t in report.tries if t["fits"])
    json.loads(report.to_json())


def test_max_drop_does_not_search_what_a_recipe_fixes(trained, digits):
    text = '[[step]]\nmethod = "gradual"\ndensities = [0.5, 0.5]\nepochs = 0'
    with pytest.raises(CompressError, match="none of gradual"):
        compress(trained, parse(text), digits, max_drop=0.02, progress=False)


def test_numbers_that_are_none_are_found_where_they_arise(trained, digits):
    broken = copy_of(trained)
    with torch.no_grad():
        broken.fc1.weight[0, :2] = torch.tensor([torch.nan, torch.inf])
    for method in ("binary", "uniform"):
        with pytest.raises(
            CompressError, match=r"network to compress: 2 of 1536 values of fc1\.weight are not fin"
        ):
            compress(broken, parse(f'[[step]]\nmethod = "{method}"'), digits, progress=False)
    recipe = Recipe((Step("bad", Diverging()),))
    with pytest.raises(CompressError, match=r"step 1 \(bad\): training diverged.*of fc2\.bias are"):
        compress(trained, recipe, digits, progress=False)


class Diverging(Method):
    def apply(self, work: Work) -> None:
        with torch.no_grad():
            work.model.get_parameter("fc2.bias").fill_(torch.inf)


def test_a_method_that_chooses_by_accuracy_wants_a_validation_split(trained, digits):
    text = '[[step]]\nmethod = "gradual"\nsensitivity = true\nepochs = 1'
    with pytest.raises(CompressError, match=r"step 1 \(gradual\) chooses by the validation split"):
        compress(trained, parse("validation = 0\n" + text), digits, progress=False)
    compress(trained, parse("validation = 0\n" + text), digits, lambda _: 0.5, progress=False)


def test_binary_net_from_a_float_network(trained, digits):
    """Activations of +-1 behind a normalization, weights of +-1."""
    recipe = parse(
        """
        [activations]
        bits = 1
        form = "bipolar"
        [[step]]
        method = "binary"
        epochs = 2
        """
    )
    made = compress(trained, recipe, digits, progress=False)
    assert [type(n.op).__name__ for n in made.checkpoint.source.nodes].count("Bipolar") == 3
    assert [layer.kind for layer in made.report.layers] == ["binary", "binary"]
    with pytest.raises(CompressError, match="bipolar is bits = 1, got 8"):
        parse('[activations]\nform = "bipolar"\n[[step]]\nmethod = "binary"')


def test_few_values_behind_a_mask(trained, digits):
    """Ternary weights keep the zeros of a mask; two values have none."""
    text = '[[step]]\nmethod = "magnitude"\ndensity = 0.2\nepochs = 1\n'
    text += "[[step]]\nepochs = 1\nmethod = "
    made = compress(trained, parse(text + '"ternary"'), digits, progress=False)
    assert made.report.nonzero_ratio >= 5
    assert [layer.kind for layer in made.report.layers] == ["ternary", "ternary"]
    for method, why in (
        ('"binary"', "two values have no zero"),
        ('"ternary"\nthreshold = "mean"', "the mean counts its zeros"),
    ):
        with pytest.raises(CompressError, match=why):
            compress(trained, parse(text + method), digits, progress=False)


def test_shared_values_are_stored_once(trained, digits, tmp_path):
    """A hash costs its values, product quantization its words."""
    made = compress(trained, parse('[[step]]\nmethod = "hash"\nepochs = 1'), digits, progress=False)
    made.save(tmp_path / "hash.pt")
    assert load(tmp_path / "hash.pt").source == made.checkpoint.source
    assert [layer.code for layer in made.report.layers] == ["hash", "hash"]
    assert made.report.layers[0].encoded["codebook"] <= 9 * 192  # 64 * 24 weights, an eighth of it


def test_one_relu_in_two_places_is_quantized_in_both(digits):
    act = nn.ReLU()
    layers = (nn.Linear(64, 12), act, nn.Linear(12, 12), act, nn.Linear(12, 10))
    made = compress(nn.Sequential(nn.Flatten(), *layers), one(), digits, progress=False)
    assert [type(m).__name__ for m in made.model.modules()].count("QuantAct") == 2
    assert not any(isinstance(m, nn.ReLU) for m in made.model.modules())


class Odd(nn.Module):
    """A network with a layer that nothing uses, and a forward that may raise or give a tuple."""

    def __init__(self, given: str = "logits"):
        super().__init__()
        self.a, self.b, self.given = nn.Linear(64, 10), nn.Linear(3, 3), given

    def forward(self, x: torch.Tensor):
        assert self.given != "nothing", "no luck"
        logits = nn.functional.linear(x.flatten(1), self.a.weight)
        return logits if self.given == "logits" else (logits,)


def test_what_a_forward_may_do_is_said_at_the_start(digits):
    for given, why in (("nothing", "does not take images .* no luck"), ("two", "got tuple")):
        with pytest.raises(CompressError, match=why):
            compress(Odd(given), one(), digits, progress=False)


def test_a_layer_without_a_part_in_it_is_an_error_or_a_named_exception(digits):
    with pytest.raises(CompressError, match="layer 'b' plays no part in what the network gives"):
        compress(Odd(), one(), digits, progress=False)
    recipe = parse('except = ["b"]\n[[step]]\nmethod = "uniform"')
    made = compress(Odd(), recipe, digits, progress=False)
    assert [layer.name for layer in made.report.layers] == ["a"]


def test_what_the_recipe_excepts_stays_as_it_is(trained, digits):
    recipe = parse('except = ["fc2"]\n[[step]]\nmethod = "uniform"\nbits = 4')
    made = compress(trained, recipe, digits, progress=False)
    first, second = made.report.layers
    assert (first.kind, first.methods) == ("int4", ("uniform",))
    assert (second.kind, second.methods) == ("float", ())
    for name in ("fc2.weight", "fc2.bias"):
        assert torch.equal(made.model.state_dict()[name], trained.state_dict()[name])


def test_frozen_networks_are_thawed_in_their_copy(trained, digits):
    frozen = copy_of(trained).requires_grad_(False)
    text = '[[step]]\nmethod = "kmeans"\nhessian = true\nepochs = 1'
    made = [compress(m, parse(text), digits, progress=False) for m in (trained, frozen)]
    assert made[0].written.data == made[1].written.data
    assert not any(p.requires_grad for p in frozen.parameters())


def test_a_network_that_cannot_be_copied(trained, digits):
    pruned = copy_of(trained)
    prune.l1_unstructured(pruned.fc1, "weight", amount=0.5)
    with pytest.raises(CompressError, match=r"cannot be copied .*as prune\.remove does"):
        compress(pruned, one(), digits, progress=False)
