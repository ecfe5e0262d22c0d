"""`hwc compress`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def compress(
    model: Annotated[
        str,
        typer.Argument(
            help="A checkpoint, an .onnx file, or a network to train first (lenet-300-100, "
            "lenet-5, or one of the zoo); with --arch a state_dict."
        ),
    ],
    recipe: Annotated[Path, typer.Option(help="What to do to which layer, a TOML file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The small file to write.")],
    data: Annotated[
        str | None,
        typer.Option(help="Data set (mnist5k, digits, fashion) or folder; else the checkpoint's."),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(help="module:Class whose state_dict MODEL is; the class takes no arguments."),
    ] = None,
    raw: Annotated[
        list[str] | None,
        typer.Option(help="INPUT=SCALE: bytes arrive at this ONNX input, such as x=1/255."),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="INPUT=SIZES: what an ONNX file leaves open, such as x=1,3,32,32."),
    ] = None,
    max_drop: Annotated[
        str | None,
        typer.Option(help="Find the smallest within this loss of validation accuracy: 0.5%."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder in which finished steps are kept and found again.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, max=128, help="Test images that the file carries for hwc build.")
    ] = 0,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON, too.")] = None,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Use about so many images of each part of the data only."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads for torch.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compress a network by a recipe and write it entropy-coded, as `hwc build` reads it.

    Prints what was done to every layer, accuracies before and after, and the three compression
    rates. Only the training part of the data is used; the test part is read once, at the end.
    """
    from hwc.compiler.compressing import compress_file, share
    from hwc.compiler.files import OutputError, claim_file

    if report is not None and report.absolute() == output.absolute():
        raise OutputError(f"--report {report} is the output too; name two files")
    drop = None if max_drop is None else share(max_drop)
    for path in (output, *([report] if report else [])):
        claim_file(path, overwrite=overwrite)
    made = compress_file(
        model,
        recipe,
        data=data,
        arch=arch,
        raw=tuple(raw or ()),
        shapes=tuple(shape or ()),
        max_drop=drop,
        resume=resume,
        threads=threads,
        images=images,
        progress=not as_json and Console().is_terminal,
    )
    written = made.save(output, samples)
    record = json.loads(made.report.to_json()) | {"output": str(output)}
    if len(written.data) != made.report.file_bytes:
        record["file_bytes_with_samples"] = len(written.data)
    text = json.dumps(record, indent=2)
    if report is not None:
        report.write_text(text + "\n")
    if as_json:
        print(text)
        return
    console = Console()
    console.print(made.report.table())
    for line in (*made.report.summary().splitlines(), f"Written to {output}"):
        console.print(line, soft_wrap=True, highlight=False)
