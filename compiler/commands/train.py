"""`hwc train`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def train(
    network: Annotated[
        str, typer.Argument(help="Network of the zoo, such as tfc-w1a1; a wrong name lists them.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The model.pt to write.")],
    data: Annotated[
        str,
        typer.Option(help="Data set (mnist5k, digits, fashion, noise:CxHxW) or a folder."),
    ] = "mnist5k",
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the data [the network's own]; 0: random weights."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same network.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads for torch.")] = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a quantized network of the zoo and write it as a checkpoint for `hwc build`.

    The accuracy printed is that of the snapped network in float64 on the test set, the same
    function that the hardware computes.
    """
    from hwc.compiler.files import claim_file

    claim_file(output, overwrite=overwrite)

    import torch

    from hwc.models import save
    from hwc.models import train as fit

    bar = not as_json and Console().is_terminal
    trained = fit(network, data, epochs=epochs, seed=seed, threads=threads, progress=bar)
    images, labels = trained.data.x_test, trained.data.y_test
    save(
        trained.model,
        torch.from_numpy(images[:1]).double() * trained.data.scale,
        output,
        samples=(images, labels),
        accuracy=trained.accuracy,
        data=data,
        name=network,
    )
    result = {
        "model": str(output),
        "network": network,
        "data": data,
        "test_images": len(images),
        "accuracy": trained.accuracy,
        "seconds": round(trained.seconds, 1),
    }
    if as_json:
        print(json.dumps(result, indent=2))
        return
    Console().print(
        f"{network} on {data}: {trained.accuracy['fake_quant']:.2%} of {len(images):,} test images "
        f"right after {trained.seconds:.0f} s of training\nWritten to {output}",
        soft_wrap=True,
        highlight=False,
    )
