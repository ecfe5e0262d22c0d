"""Every compression recipe on LeNet-300-100 and 5,000 MNIST digits, seeds 0-2.

Each recipe of benchmarks/recipes is run with each seed; the float network is trained first as its
[start] says. Settings were chosen on a split of the 4,000 training digits; the 1,000 test digits
are read once a run. Runs are kept in build/compression, so that a changed recipe costs only its
own. Replaces the table in docs/compression.md and draws error against bytes beside it.

    python benchmarks/compression.py [RECIPE ... [--write]]

With names the table is only printed, unless --write puts these recipes alone into the page.
"""

import dataclasses
import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np

from hwc.models import load, load_data
from hwc.models.compress import compress, load_recipe
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
NETWORK = "lenet-300-100"


def kept(key: str, make) -> dict:
    """What `make()` returns, or what it returned for the same key before."""
    path = KEPT / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.json"
    if not path.is_file():
        made = make()
        KEPT.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"key": key} | made, indent=1))
    return json.loads(path.read_text())


def run(path: Path, seed: int, data: Dataset) -> dict:
    """One recipe with one seed: the file is written, read back and compared, too."""
    recipe = dataclasses.replace(load_recipe(path), seed=seed)

    def make() -> dict:
        begun = time.perf_counter()
        network = start(NETWORK, recipe, data)
        started = time.perf_counter()
        made = compress(network, recipe, data, name=NETWORK)
        seconds = time.perf_counter() - started
        KEPT.mkdir(parents=True, exist_ok=True)
        file = KEPT / f"{path.stem}-{seed}.pt"
        written = made.save(file)
        if load(file).source != made.checkpoint.source or file.stat().st_size != len(written.data):
            raise AssertionError(f"{file} does not read back as it was written")
        report = json.loads(made.report.to_json())
        return {"report": report, "start_seconds": started - begun, "seconds": seconds}

    return kept(f"{NETWORK} {data.name} {recipe}", make)


def twin(recipe: Recipe, seed: int, epochs: int, data: Dataset) -> dict:
    """A float network with the training of a recipe, for so many epochs."""
    how = dataclasses.replace(recipe.start, epochs=epochs)
    recipe = dataclasses.replace(recipe, seed=seed, start=how, validation=0.0)

    def make() -> dict:
        network = start(NETWORK, recipe, data)
        return {"accuracy": evaluate(network, data.x_test, data.y_test, data.scale)}

    return kept(f"twin {NETWORK} {data.name} {seed} {how} {recipe.train}", make)


def error(accuracies: list[float]) -> str:
    """Mean and deviation of the error in percent."""
    errors = [100 * (1 - a) for a in accuracies]
    return f"{np.mean(errors):.2f} ± {np.std(errors):.2f}"


def row(path: Path, data: Dataset) -> tuple[str, float, float, str]:
    """(table row, mean bytes, mean error, name) of one recipe."""
    runs = [run(path, seed, data) for seed in SEEDS]
    reports = [r["report"] for r in runs]
    size = float(np.mean([r["file_bytes"] for r in reports]))
    tests = [r["accuracy"]["fake_quant"] for r in reports]
    cells = [
        f"[{path.stem}](../benchmarks/recipes/{path.name})",
        error([r["accuracy"]["float"] for r in reports]),
        error(tests),
        f"{np.mean([r['nonzero_ratio'] for r in reports]):.1f}",
        f"{np.mean([r['encoded_ratio'] for r in reports]):.1f}",
        f"{np.mean([r['ratio'] for r in reports]):.1f}",
        f"{size:,.0f} (at most {max(r['file_bytes'] for r in reports):,})",
        f"{np.mean([r['seconds'] for r in runs]):.0f}",
    ]
    return f"| {' | '.join(cells)} |", size, 100 * (1 - float(np.mean(tests))), path.stem


def tables(paths: list[Path], data: Dataset) -> tuple[str, list[tuple[float, float, str]]]:
    """The generated section, and (bytes, error, name) of every recipe."""
    plain = Recipe(load_recipe(paths[0]).steps, start=Start(augment=False), train=Training())
    reference = [twin(plain, seed, 40, data)["accuracy"] for seed in SEEDS]
    lines = [
        f"Float, 40 epochs without augmentation (the reference, 6.27 %): {error(reference)} %.",
        "",
        "| recipe | float error % | error % | nonzeros x | encoded bits x | file x | bytes | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    points = []
    for path in paths:
        text, size, wrong, name = row(path, data)
        lines.append(text)
        points.append((size, wrong, name))
    headline = RECIPES / "headline.toml"
    if headline in paths:
        recipe = load_recipe(headline)
        epochs = recipe.start.epochs + sum(getattr(s.method, "epochs", 0) for s in recipe.steps)
        long = [twin(recipe, seed, epochs, data)["accuracy"] for seed in SEEDS]
        what = f"Float with the augmentation of `headline` and all of its {epochs} epochs"
        lines += ["", f"{what}: {error(long)} %."]
    return "\n".join(lines) + "\n", points


def draw(points: list[tuple[float, float, str]]) -> None:
    """Error against bytes, with the front that nothing beats in both."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "hwc"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    front, best = [], float("inf")
    for size, wrong, _ in sorted(points):
        if wrong < best:
            best = wrong
            front.append((size, wrong))
    axes.step(*zip(*front, strict=True), where="post", color="0.7", zorder=0)
    axes.scatter([p[0] for p in points], [p[1] for p in points])
    for size, wrong, name in points:
        axes.annotate(name, (size, wrong), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.axvline(4 * 266_610 / 100, color="0.8", linestyle="--")
    axes.set(xscale="log", xlabel="bytes of the file", ylabel="test error, %")
    figure.savefig(PLOT, metadata={"Date": None}, bbox_inches="tight")


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--write"]
    paths = sorted(p for p in RECIPES.glob("*.toml") if not names or p.stem in names)
    text, points = tables(paths, load_data("mnist5k"))
    print(text)
    if names and "--write" not in sys.argv:
        return
    head, _, _ = DOC.read_text().partition(MARK)
    DOC.write_text(f"{head}{MARK}\n{text}")
    draw(points)


if __name__ == "__main__":
    main()
