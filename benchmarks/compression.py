"""Every compression recipe on its network, seeds 0-2: errors, three rates, seconds.

The recipes of benchmarks/recipes/NETWORK are run on that network with each seed; the float network
is trained first as the recipe's [start] says. Settings were chosen on a split of the training part;
the test part is read once a run. Runs are kept in build/compression, so that a changed recipe costs
only its own. Replaces the tables in docs/compression.md and draws error against bytes beside them.

    python benchmarks/compression.py [NETWORK/RECIPE ...] [--write]

Names say what is run; the page takes whatever has been run with all seeds, and is only written with
--write.
"""

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hwc.models import load, load_data
from hwc.models.compress import compress, load_recipe
from hwc.models.compress.networks import network as named
from hwc.models.compress.networks import start
from hwc.models.compress.recipe import Recipe, Start, Training
from hwc.models.data import Dataset
from hwc.models.train import evaluate

ROOT = Path(__file__).parents[1]
DOC = ROOT / "docs" / "compression.md"
PLOT = ROOT / "docs" / "compression.svg"
RECIPES = ROOT / "benchmarks" / "recipes"
KEPT = ROOT / "build" / "compression"
MARK = "<!-- benchmarks/compression.py writes what follows -->\n"
SEEDS = (0, 1, 2)
DATA = {"lenet-300-100": "mnist5k", "lenet-300-100-bn": "mnist5k", "lenet-5": "fashion"}
REFERENCE = {"lenet-300-100": 40, "lenet-300-100-bn": 40, "lenet-5": 12}
"""Epochs of the float network without augmentation that a table starts with."""


def place(key: str, kind: str) -> Path:
    """Where what belongs to a key is kept."""
    KEPT.mkdir(parents=True, exist_ok=True)
    return KEPT / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.{kind}"


def kept(key: str, make: Callable[[], dict] | None) -> dict | None:
    """What `make()` returns, or what it returned for the same key before; None without either."""
    path = place(key, "json")
    if not path.is_file():
        if make is None:
            return None
        path.write_text(json.dumps({"key": key} | make(), indent=1))
    return json.loads(path.read_text())


def started(network: str, recipe: Recipe, data: Dataset) -> nn.Module:
    """The float network of a recipe; the same training is done once."""
    how = (recipe.seed, recipe.validation, recipe.start, recipe.train)
    path = place(f"{network} {data.name} {how}", "start")
    if not path.is_file():
        torch.save(start(network, recipe, data, progress=False).state_dict(), path)
    model = named(network, data, recipe.seed)
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def run(path: Path, seed: int, data: Dataset, do: bool) -> dict | None:
    """One recipe with one seed: the file is written, read back and compared, too."""
    recipe, network = dataclasses.replace(load_recipe(path), seed=seed), path.parent.name

    def make() -> dict:
        model = started(network, recipe, data)
        begun = time.perf_counter()
        made = compress(model, recipe, data, name=network, progress=False)
        seconds = time.perf_counter() - begun
        file = KEPT / f"{network}-{path.stem}-{seed}.pt"
        written = made.save(file)
        if load(file).source != made.checkpoint.source or file.stat().st_size != len(written.data):
            raise AssertionError(f"{file} does not read back as it was written")
        report = json.loads(made.report.to_json())
        accuracy = report["accuracy"]
        print(
            f"{network}/{path.stem} {seed}: {accuracy}, {report['file_bytes']:,} bytes", flush=True
        )
        return {"report": report, "seconds": seconds}

    return kept(f"{network} {data.name} {recipe}", make if do else None)


def twin(
    network: str, recipe: Recipe, seed: int, epochs: int, data: Dataset, do: bool
) -> float | None:
    """Accuracy of a float network with the training of a recipe, for so many epochs."""
    how = dataclasses.replace(recipe.start, epochs=epochs)
    recipe = dataclasses.replace(recipe, seed=seed, start=how, validation=0.0)

    def make() -> dict:
        model = started(network, recipe, data)
        return {"accuracy": evaluate(model, data.x_test, data.y_test, data.scale)}

    found = kept(f"twin {network} {data.name} {seed} {how} {recipe.train}", make if do else None)
    return None if found is None else found["accuracy"]


def error(accuracies: list[float]) -> str:
    """Mean and deviation of the error in percent."""
    errors = [100 * (1 - a) for a in accuracies]
    return f"{np.mean(errors):.2f} ± {np.std(errors):.2f}"


Point = tuple[float, float, str]  # bytes, error in percent, name


def row(path: Path, data: Dataset, do: bool) -> tuple[str, Point] | None:
    """Table row and point of one recipe, if it has been run with every seed."""
    runs = [made for seed in SEEDS if (made := run(path, seed, data, do)) is not None]
    if len(runs) < len(SEEDS):
        return None
    reports = [r["report"] for r in runs]
    size = float(np.mean([r["file_bytes"] for r in reports]))
    tests = [r["accuracy"]["fake_quant"] for r in reports]
    cells = [
        f"[{path.stem}](../benchmarks/recipes/{path.parent.name}/{path.name})",
        error([r["accuracy"]["float"] for r in reports]),
        error(tests),
        f"{np.mean([r['nonzero_ratio'] for r in reports]):.1f}",
        f"{np.mean([r['encoded_ratio'] for r in reports]):.1f}",
        f"{np.mean([r['ratio'] for r in reports]):.1f}",
        f"{size:,.0f} (at most {max(r['file_bytes'] for r in reports):,})",
        f"{np.mean([r['seconds'] for r in runs]):.0f}",
    ]
    return f"| {' | '.join(cells)} |", (size, 100 * (1 - float(np.mean(tests))), path.stem)


def twins(network: str, recipe: Recipe, epochs: int, data: Dataset, do: bool) -> str | None:
    """Error of the float network with a recipe's training, if it has been run with every seed."""
    found = [twin(network, recipe, seed, epochs, data, do) for seed in SEEDS]
    return None if None in found else error([f for f in found if f is not None])


def table(network: str, chosen: set[str]) -> tuple[list[str], list[Point]]:
    """The section of a network, and the points of its recipes; `chosen` are run, if need be."""
    data = load_data(DATA[network])
    paths = sorted((RECIPES / network).glob("*.toml"))
    if not paths:
        return [], []
    plain = Recipe(load_recipe(paths[0]).steps, start=Start(augment=False), train=Training())
    doing = {path for path in paths if f"{network}/{path.stem}" in chosen}
    found = [made for path in paths if (made := row(path, data, path in doing)) is not None]
    if not found:
        return [], []
    epochs = REFERENCE[network]
    reference = twins(network, plain, epochs, data, bool(doing))
    lines = [
        f"### {network} on {data.name}",
        f"Float, {epochs} epochs without augmentation: {reference or 'not run'} %.",
        "",
        "| recipe | float error % | error % | nonzeros x | encoded bits x | file x | bytes | s |",
        "|---|---|---|---|---|---|---|---|",
        *(text for text, _ in found),
    ]
    headline = RECIPES / network / "headline.toml"
    if headline.is_file():
        recipe = load_recipe(headline)
        total = recipe.start.epochs + sum(getattr(s.method, "epochs", 0) for s in recipe.steps)
        if long := twins(network, recipe, total, data, headline in doing):
            what = f"Float with the augmentation of `headline` and all of its {total} epochs"
            lines += ["", f"{what}: {long} %."]
    return [*lines, ""], [point for _, point in found]


def draw(points: list[Point], normalized: list[Point]) -> None:
    """Error against bytes, with the front that nothing beats in both; networks with batch-norm, of
    which `normalized` is made, are hollow."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "hwc"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    front, best = [], float("inf")
    for size, wrong, _ in sorted(points + normalized):
        if wrong < best:
            best = wrong
            front.append((size, wrong))
    axes.step(*zip(*front, strict=True), where="post", color="0.7", zorder=0)
    for of, filled in ((points, "C0"), (normalized, "none")):
        axes.scatter([p[0] for p in of], [p[1] for p in of], facecolor=filled, edgecolor="C0")
    names = []
    for number, (size, wrong, name) in enumerate(sorted(points) + sorted(normalized), 1):
        axes.annotate(str(number), (size, wrong), (3, 3), textcoords="offset points", fontsize=7)
        names.append(f"{number} {name}" + (", BN" if number > len(points) else ""))
    axes.text(1.02, 1, "\n".join(names), transform=axes.transAxes, fontsize=7, va="top")
    axes.axvline(4 * 266_610 / 100, color="0.8", linestyle="--")
    axes.set(xscale="log", xlabel="bytes of the file", ylabel="test error, %")
    figure.savefig(PLOT, metadata={"Date": None}, bbox_inches="tight")


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--write"]
    every = {f"{p.parent.name}/{p.stem}" for p in RECIPES.glob("*/*.toml")}
    if unknown := set(names) - every:
        sys.exit(f"no recipe {', '.join(sorted(unknown))}; there are {', '.join(sorted(every))}")
    tables = {network: table(network, set(names) or every) for network in DATA}
    text = "\n".join("\n".join(lines) for lines, _ in tables.values() if lines)
    print(text)
    if "--write" in sys.argv:
        head, _, _ = DOC.read_text().partition(MARK)
        DOC.write_text(f"{head}{MARK}\n{text}")
        draw(tables["lenet-300-100"][1], tables["lenet-300-100-bn"][1])


if __name__ == "__main__":
    main()
