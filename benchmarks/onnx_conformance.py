"""ONNX's own operator tests through the ONNX front end; writes docs/onnx.md.

    python benchmarks/onnx_conformance.py          (prints the counts and writes the page)

A case is in scope if all its operators are in the support table or folded. Inputs of a case become
activations where that is possible; weights, shapes and other parameters become constants of the
file, as they are in networks.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from hwc.compiler.onnx import OnnxError, read_onnx
from hwc.compiler.onnx.file import domain_of
from hwc.compiler.onnx.fold import FOLDS
from hwc.compiler.onnx.operators import OPERATORS
from hwc.compiler.onnx.support import conformance_section, support_page
from hwc.compiler.source import evaluate

PAGE = Path(__file__).parents[1] / "docs" / "onnx.md"


@dataclass(frozen=True)
class Outcome:
    """What became of one case: passed, part (one of several outputs), refused (with the reason) or
    failed (with what differed)."""

    name: str
    nodes: int
    status: str
    reason: str = ""


@dataclass(frozen=True)
class Stored:
    """A case that the onnx package holds as files."""

    name: str
    model: onnx.ModelProto
    data_sets: list[tuple[list[onnx.TensorProto], list[onnx.TensorProto]]]
    rtol: float
    atol: float

    @staticmethod
    def of(case: Any) -> Stored:
        folder = Path(case.model_dir)
        sets = []
        for place in sorted(folder.glob("test_data_set_*")):
            given, wanted = (
                [onnx.TensorProto.FromString(f.read_bytes()) for f in sorted(place.glob(pattern))]
                for pattern in ("input_*.pb", "output_*.pb")
            )
            sets.append((given, wanted))
        return Stored(case.name, onnx.load(folder / "model.onnx"), sets, case.rtol, case.atol)


def cases() -> Iterator[Any]:
    """The node tests and simple models of the onnx package, those in scope."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        found: list[Any] = load_model_tests(kind="node")
        simple = load_model_tests(kind="simple")
    known = ("sequence", "strnorm")  # of other things than tensors of numbers
    found += [Stored.of(case) for case in simple if not any(k in case.name for k in known)]
    for case in found:
        keys = {(domain_of(n), n.op_type) for n in case.model.graph.node}
        known = {k for k in keys if k in OPERATORS or (k[0] == "" and k[1] in FOLDS)}
        if keys == known and any(k in OPERATORS for k in keys) and case.model.graph.input:
            yield case


def with_constants(model: Any, arrays: dict[str, Any], active: set[str], shown: set[str]) -> Any:
    """The model with all inputs but `active` turned into initializers, and outputs `shown`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for name, array in arrays.items():
        if name not in active:
            copy.graph.initializer.append(numpy_helper.from_array(array, name))
    outputs = [o for o in model.graph.output if o.name in shown]
    del copy.graph.output[:]
    copy.graph.output.extend(outputs)
    return copy


def check(case: Any) -> Outcome:
    """Run one case."""
    nodes = len(case.model.graph.node)
    names = [i.name for i in case.model.graph.input]
    given, wanted = case.data_sets[0]
    arrays = {n: _array(v) for n, v in zip(names, given, strict=False)}
    choices = [set(arrays), *({name} for name in arrays)] if len(arrays) > 1 else [set(arrays)]
    outputs: list[set[str]] = [{o.name for o in case.model.graph.output}]
    outputs += [{name} for name in outputs[0]] if nodes == 1 else []
    reasons = []
    for shown, active in product(outputs, choices):
        try:
            model = read_onnx(with_constants(case.model, arrays, active, shown))
        except OnnxError as error:
            reasons.append(str(error))
            continue
        made = model.fetch(evaluate(model.source, model.feed(arrays)))
        wrong = differences(case, made, wanted)
        status = "passed" if shown == outputs[0] else "part"
        return Outcome(case.name, nodes, "failed" if wrong else status, wrong)
    return Outcome(case.name, nodes, "refused", reasons[min(1, len(reasons) - 1)])


def _array(value: Any) -> np.ndarray:
    """The data of a case, which is a tensor where NumPy lacks the type."""
    return (
        numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    )


def differences(case: Any, made: dict[str, np.ndarray], wanted: list[Any]) -> str:
    """The first output that differs, or nothing."""
    for item, want in zip(case.model.graph.output, wanted, strict=True):
        if item.name not in made:
            continue
        want, have = _array(want), made[item.name]
        if have.shape != want.shape:
            return f"{item.name}: shape {have.shape}, expected {want.shape}"
        if want.dtype.name == "bfloat16":
            same = np.allclose(have, want.astype(np.float32), rtol=2**-8, equal_nan=True)
        elif want.dtype.kind != "f":
            same = np.array_equal(have.astype(np.int64), want.astype(np.int64))
        else:
            same = np.allclose(
                have, want, rtol=case.rtol, atol=max(case.atol, 1e-6), equal_nan=True
            )
        if not same:
            return f"{item.name}: {have.ravel()[:4]}, expected {want.ravel()[:4]}"
    return ""


def outcomes() -> list[Outcome]:
    """All cases in scope."""
    return [check(case) for case in cases()]


def main() -> None:
    done = outcomes()
    print(Counter(o.status for o in done))
    for outcome in done:
        if outcome.status == "failed":
            print(outcome)
    rows = [(o.name, o.nodes, o.status, o.reason) for o in done]
    PAGE.write_text(support_page() + conformance_section(rows))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
