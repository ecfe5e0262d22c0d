"""`hwc verify` on a bundle that is right, and on ones that are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hwc.compiler import cli

from .conftest import Built


@pytest.fixture
def verify(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """The command, with a cache of its own that is kept between runs."""
    monkeypatch.chdir(request.config.cache.mkdir("verify"))
    return lambda *args: CliRunner().invoke(cli.application(), ["verify", *map(str, args)])


@pytest.fixture
def bundle(built: Built, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(built.bundle, tmp_path / "bundle")


def test_a_right_bundle(built: Built, verify: Callable[..., Result]) -> None:
    found = verify(built.bundle, "--json")
    assert found.exit_code == 0, found.output
    record = json.loads(found.stdout)
    assert record["frames"] == 16
    assert record["quick"]["latency"] >= record["predicted"]["latency"]
    assert len(record["errors"]) == 2
    assert "every integer right" in verify(built.bundle).output


def test_a_changed_golden_value(built: Built, bundle: Path, verify: Callable[..., Result]) -> None:
    name = list(built.manifest["outputs"])[-1]
    path = bundle / built.manifest["golden"][name]["file"]
    golden = np.load(path)
    golden[7, 1] += 1
    np.save(path, golden)
    found = verify(bundle)
    assert found.exit_code == 2
    assert f"output '{name}', frame 7, index (1,): expected {golden[7, 1]}" in found.output


def test_a_changed_prediction(bundle: Path, verify: Callable[..., Result]) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["cycles"]["latency"] += 1000
    path.write_text(json.dumps(manifest))
    found = verify(bundle)
    assert found.exit_code == 2
    assert "cycles, predicted were" in found.output


@pytest.mark.parametrize("part", ["network", "shell"])
def test_rtl_of_another_hash(bundle: Path, part: str, verify: Callable[..., Result]) -> None:
    path = bundle / "rtl" / f"{part}.v"
    path.write_text(path.read_text() + "\n")
    found = verify(bundle)
    assert found.exit_code == 2
    assert "is not the file that was verified" in found.output
    path.unlink()
    assert "No such file" in verify(bundle).output


def test_a_folder_that_is_no_bundle(tmp_path: Path, verify: Callable[..., Result]) -> None:
    found = verify(tmp_path)
    assert found.exit_code == 2
    assert "no readable manifest" in found.output
    assert found.output.replace("\n", "").count(str(tmp_path)) == 1
    assert "Traceback" not in found.output
