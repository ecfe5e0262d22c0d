"""`hwc build`."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

PANEL: Final[dict[str, Any]] = {"rich_help_panel": "Calibration, with --calib"}


def build(
    model: Annotated[Path, typer.Argument(help="A checkpoint, model.pt, or a model.onnx.")],
    board: Annotated[str, typer.Option(help="The board; `hwc boards` lists them.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Bundle folder [build/MODEL-BOARD].")
    ] = None,
    clock_mhz: Annotated[
        float | None, typer.Option(help="Clock in MHz; by default the board's own.")
    ] = None,
    max_util: Annotated[
        str, typer.Option(help="Share of the board to use: 70%, or lut=70%,dsp=80%.")
    ] = "70%",
    target_fps: Annotated[
        float | None,
        typer.Option(help="Cheapest design with this many frames a second, not the fastest."),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(help="LAYER=FORM: build a layer so (dense, wired, codebook ...)."),
    ] = None,
    verify_inputs: Annotated[
        int, typer.Option(min=1, help="Inputs to simulate; at most what the data offers.")
    ] = 100,
    shell_frames: Annotated[
        int,
        typer.Option(min=0, help="Inputs for driver and shell on a simulated board; 0: leave out."),
    ] = 2,
    data: Annotated[
        str | None,
        typer.Option(help="Data set or folder for accuracy and simulation; else the samples."),
    ] = None,
    calib: Annotated[
        str | None,
        typer.Option(help="Quantize a float network with this data: .npz, .npy, data set, folder."),
    ] = None,
    bits: Annotated[
        str, typer.Option(help="Bits of weights and activations, such as w4a8.", **PANEL)
    ] = "w8a8",
    ranges: Annotated[
        str,
        typer.Option(
            help="How far quantizers of activations reach: mse, minmax, percentile.", **PANEL
        ),
    ] = "mse",
    weight_ranges: Annotated[
        str | None,
        typer.Option(help="The same of weights; by default minmax, with 2 bits mse.", **PANEL),
    ] = None,
    percentile: Annotated[
        float, typer.Option(help="Share of magnitudes within a percentile range, in %.", **PANEL)
    ] = 99.99,
    per_channel: Annotated[
        bool,
        typer.Option(
            "--per-channel/--per-tensor", help="A weight scale for each output channel.", **PANEL
        ),
    ] = True,
    bias_correction: Annotated[
        bool, typer.Option(help="Channel means become those of the float network.", **PANEL)
    ] = True,
    equalize: Annotated[
        bool, typer.Option(help="Rescale channels between layers first.", **PANEL)
    ] = False,
    rounding: Annotated[
        str,
        typer.Option(
            help="Of weights: nearest, or second_order (each error made up for by the rest).",
            **PANEL,
        ),
    ] = "nearest",
    raw: Annotated[
        list[str] | None,
        typer.Option(help="INPUT=SCALE: bytes arrive at this ONNX input, such as x=1/255."),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="INPUT=SIZES: what an ONNX file leaves open, such as x=1,3,32,32."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of stalls and generated inputs.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle.")] = False,
    synth: Annotated[
        bool, typer.Option("--synth", help="Synthesize with yosys: resources and depth as mapped.")
    ] = False,
    bitstream: Annotated[
        bool, typer.Option("--bitstream", help="Place and route with the board's tools.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compile a model to a verified accelerator for a board.

    Lowers to integers, chooses units and folds that fit, writes Verilog, simulates it with real
    inputs and stalls against the reference and leaves a bundle. Fails on the first wrong value.
    """
    from hwc.compiler.build import Options, build
    from hwc.compiler.calibrate import Config
    from hwc.compiler.progress import steps
    from hwc.compiler.summary import show
    from hwc.compiler.utilization import parse

    options = Options(
        model=model,
        board=board,
        output=output or Path("build") / f"{model.stem}-{board}",
        clock_mhz=clock_mhz,
        max_util=parse(max_util),
        target_fps=target_fps,
        units=tuple(unit or ()),
        verify_inputs=verify_inputs,
        shell_frames=shell_frames,
        data=data,
        calib=calib,
        quantization=Config.of(
            bits,
            ranges=ranges,
            weight_ranges=weight_ranges,
            percentile=percentile,
            per_channel=per_channel,
            bias_correction=bias_correction,
            equalize=equalize,
            rounding=rounding,
        ),
        raw=tuple(raw or ()),
        shapes=tuple(shape or ()),
        seed=seed,
        overwrite=overwrite,
        synth=synth,
        bitstream=bitstream,
    )
    with steps(quiet=as_json) as step:
        report = build(options, step)
    if as_json:
        print(report.to_json(), end="")
    else:
        show(report, options.output)
