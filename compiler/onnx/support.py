"""The support table of the documentation, from the dispatch table and its docstrings."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable

from hwc.compiler.onnx.file import OPSETS
from hwc.compiler.onnx.fold import FOLDS
from hwc.compiler.onnx.operators import FAMILIES, HINTS, Handler

__all__ = ["conformance_section", "support_page"]

Row = tuple[str, int, str, str]
"""Case, how many nodes it has, status, reason."""

DOMAINS = {
    "": "",
    "qonnx": "QONNX ",
    "channels_last": "QONNX channels last ",
    "com.microsoft": "com.microsoft ",
}

INTRO = f"""# ONNX

<!-- Written by benchmarks/onnx_conformance.py; tests/onnx keeps it up to date. -->

`load_onnx(path)` reads float models, models with QuantizeLinear and DequantizeLinear, with integer
operators, and QONNX, operator sets {OPSETS[0]} to {OPSETS[1]}. Inputs are floats, or integers of up
to 32 bits; arithmetic is that of real numbers, which sums and products of integers narrower than 32
bits are not. Shapes must be fixed but for axis 0 of the inputs, the batch, or `--shape` fixes them.
Every value keeps its axes in mind, so that transposes between channels first and channels last cost
nothing unless data has to move. What the driver takes and gives has the channels first, whatever
the transposes of the file say.

Everything that is not listed is refused with the name of the node, the rule and a way out.
"""

NUMBERS = """
## What the numbers mean

Values are real numbers; the rounding of float32 arithmetic is not reproduced. So integers equal
those of onnxruntime and qonnx except where a value lies within float32 error of a rounding step.

| operator | rule |
|---|---|
| QuantizeLinear, QLinear* | saturate(round_half_even(x / scale) + zero) |
| Quant | round(clip(x / scale + zero)) with the rounding mode of the node |
| ROUND, HALF_EVEN | to nearest, ties to even |
| CEIL, FLOOR | up, down |
| UP; DOWN, ROUND_TO_ZERO | away from zero; towards zero |
| HALF_UP, HALF_DOWN | to nearest, ties away from zero, towards zero |
| BipolarQuant, Quant with one signed bit | x >= 0 is +1 (0 and -0 are +1) |
| MultiThreshold | counts thresholds t with x >= t |
| Conv, QLinearConv | padding is real 0, the zero point of codes |
| AveragePool | divides by the places that count: count_include_pad; places of ceil mode never |
| ArgMax, TopK | ties to the lowest index |
"""

SECTION = """
## ONNX's own operator tests

Of the node tests and simple models of the onnx package, those whose operators are all in the
tables above. Parameters, and all but one of the inputs where they must, become constants. Cases of
several outputs of which one is supported count as passed in part. Bodies of functions are
attention, normalizations and the like written out with many operators.

| cases | passed | passed in part | refused | failed |
|---|---|---|---|---|
"""


def support_page() -> str:
    """The page up to the results of the conformance tests."""
    parts = [INTRO]
    for family, table in FAMILIES.items():
        lines: dict[str, list[str]] = {}
        for (domain, kind), handler in sorted(table.items()):
            lines.setdefault(_summary(handler), []).append(f"{DOMAINS[domain]}{kind}")
        parts.append(f"\n## {family}\n\n| operators | what is supported |\n|---|---|\n")
        parts += [f"| {', '.join(kinds)} | {text} |\n" for text, kinds in lines.items()]
    folded = ", ".join(sorted(FOLDS))
    parts.append(f"\n## Constants\n\nFolded where all inputs are known: {folded}.\n")
    parts.append("\n## Refused, and what works instead\n\n| operators | instead |\n|---|---|\n")
    hints: dict[str, list[str]] = {}
    for kind, hint in HINTS.items():
        hints.setdefault(hint, []).append(kind)
    parts += [f"| {', '.join(kinds)} | {hint} |\n" for hint, kinds in hints.items()]
    return "".join([*parts, NUMBERS])


def _summary(handler: Handler) -> str:
    """A handler's docstring as one line of a table."""
    return " ".join((inspect.getdoc(handler) or "").split()).replace("|", "\\|")


def conformance_section(rows: Iterable[Row]) -> str:
    """Counts by kind of case, and the reasons why single operators are refused."""
    rows = list(rows)
    lines = [SECTION]
    for what, several in (("one operator", False), ("bodies of functions", True)):
        count = Counter(status for _, nodes, status, _ in rows if (nodes > 1) == several)
        cells = (str(count[s]) for s in ("passed", "part", "refused", "failed"))
        lines.append(f"| {what} | {' | '.join(cells)} |\n")
    lines.append(
        "\nOperators refused, by reason:\n\n| cases | operator | reason |\n|---|---|---|\n"
    )
    reasons: Counter[tuple[str, str]] = Counter()
    for _, nodes, status, reason in rows:
        if status == "refused" and nodes == 1:
            reasons[_reason(reason)] += 1
    for (kind, reason), n in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"| {n} | {kind} | {reason} |\n")
    return "".join(lines)


def _reason(message: str) -> tuple[str, str]:
    """(operator, rule) of a message, without what differs from case to case."""
    head, _, rest = message.partition(": ")
    kind = head.split(" ", 1)[0]
    rule = rest.split(";")[0]
    if kind in ("input", "initializer", "output"):
        return kind, rule.split(" is not")[0].rstrip("0123456789 ")
    words = ["..." if any(c.isdigit() for c in word) else word for word in rule.split()]
    kept = [w for i, w in enumerate(words) if w != "..." or words[i - 1 : i] != ["..."]]
    return kind, " ".join(kept).replace("|", "\\|")
