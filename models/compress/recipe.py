"""A recipe: one TOML file that says what is done to which layer, and reproduces a run.

seed = 0
validation = 0.1            # share of the training part that is held out
except = ["logits"]         # layers that no step treats, on purpose

[start]                     # training of a network that has no weights yet
epochs = 40

[train]                     # every fine-tuning, and the start unless augment = false
shift = 1
distill = 0.5

[activations]
bits = 8

[[step]]
method = "gradual"
layers = ["fc*"]            # patterns of layer names
except = ["fc3"]
density = 0.05              # an option of the method
"""

import dataclasses
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hwc.compiler.graph.errors import HwcError
from hwc.models.compress.errors import CompressError
from hwc.models.compress.method import Method
from hwc.models.compress.ranges import check_ranges


@dataclass(frozen=True)
class Start:
    """How a network of the zoo is trained before it is compressed."""

    epochs: int = 40
    lr: float = 1e-3
    augment: bool = True

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Training:
    """What every fine-tuning shares.

    Augmentation: shifts by up to `shift` pixels, rotations by `rotate` degrees, sizes and shears by
    the share `zoom` and `shear`. `distill` is the weight of the Kullback-Leibler divergence from
    the float network's outputs at `temperature` (times its square; Hinton et al. 2015), the rest of
    the weight is on the labels.
    """

    batch: int = 100
    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    distill: float = 0.0
    temperature: float = 2.0

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.batch < 2:
            raise CompressError(f"batch must be at least 2, got {self.batch}")
        if not 0 <= self.distill <= 1:
            raise CompressError(f"distill must be a share 0..1, got {self.distill}")
        if not self.temperature > 0:
            raise CompressError(f"temperature must be above 0, got {self.temperature}")
        for name in ("shift", "rotate", "zoom", "shear"):
            if getattr(self, name) < 0:
                raise CompressError(f"{name} must not be negative")


@dataclass(frozen=True)
class Activations:
    """What every ReLU module gives instead: `form` "unsigned" integers of `bits` bits, or "bipolar"
    +-1 by the sign (`bits` 1), then in the place of a Hardtanh module, too."""

    bits: int = 8
    form: Literal["unsigned", "bipolar"] = "unsigned"

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 16:
            raise CompressError(f"bits must be 1..16, got {self.bits}")
        if self.form == "bipolar" and self.bits != 1:
            raise CompressError(f"bipolar is bits = 1, got {self.bits}")


@dataclass(frozen=True)
class Biases:
    """Bits of the biases: whole multiples of a power of two, a layer each."""

    bits: int = 8

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 24:
            raise CompressError(f"bits must be 2..24, got {self.bits}")


@dataclass(frozen=True)
class Step:
    """One method and the layers it is for: patterns, less exceptions."""

    name: str
    method: Method
    layers: tuple[str, ...] = ("*",)
    excepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """What is done, in order. `activations` or `biases` None leaves these as they are."""

    steps: tuple[Step, ...]
    seed: int = 0
    validation: float = 0.1
    excepted: tuple[str, ...] = ()
    start: Start = field(default_factory=Start)
    train: Training = field(default_factory=Training)
    activations: Activations | None = field(default_factory=Activations)
    biases: Biases | None = field(default_factory=Biases)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise CompressError(f"seed must be 0..2**63 - 1, got {self.seed}")
        if not self.steps:
            raise CompressError("a recipe needs at least one [[step]]")
        if not 0 <= self.validation < 1:
            raise CompressError(f"validation must be a share 0..1, got {self.validation}")


def check_validation(recipe: Recipe) -> None:
    """CompressError if a step chooses by the validation split and there is none."""
    for number, step in enumerate(recipe.steps, 1):
        if step.method.chooses and recipe.validation == 0:
            raise CompressError(
                f"step {number} ({step.name}) chooses by the validation split, and validation = 0 "
                "leaves none; use validation = 0.1 or so, or write its choice into the recipe"
            )


TABLES = {"start": Start, "train": Training, "activations": Activations, "biases": Biases}
OPTIONAL = ("activations", "biases")  # `activations = false` leaves them out


def load_recipe(path: str | Path, methods: Mapping[str, type[Method]] | None = None) -> Recipe:
    """Read a recipe; raises CompressError naming the file, the place and what would work."""
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise CompressError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CompressError(f"{path}: not a text file") from None
    try:
        return parse(text, methods)
    except CompressError as error:
        raise CompressError(f"{path}: {error}") from None


def parse(text: str, methods: Mapping[str, type[Method]] | None = None) -> Recipe:
    """The recipe in a TOML text. `methods` are those it may name, by default all."""
    if methods is None:
        from hwc.models.compress.methods import METHODS

        methods = METHODS
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CompressError(f"not TOML: {error}") from None
    legal = ("seed", "validation", "except", *TABLES, "step")
    unknown("recipe", content, legal)
    values: dict[str, Any] = {}
    for key in ("seed", "validation"):
        if key in content:
            values[key] = checked(key, content[key], int if key == "seed" else float)
    values["excepted"] = checked("except", content.get("except", []), tuple[str, ...])
    for key, kind in TABLES.items():
        if key in OPTIONAL and content.get(key) is False:
            values[key] = None
        elif key in content:
            values[key] = build(kind, f"[{key}]", content[key])
    steps = content.get("step", [])
    if not isinstance(steps, list):
        raise CompressError("steps are written [[step]], with two brackets")
    values["steps"] = tuple(step(i, item, methods) for i, item in enumerate(steps, 1))
    return Recipe(**values)


def step(number: int, content: Mapping[str, Any], methods: Mapping[str, type[Method]]) -> Step:
    """The step of one [[step]]; what is not of the frame are options of the method."""
    if not isinstance(content, dict):
        raise CompressError("steps are written [[step]], with two brackets")
    options = dict(content)
    name = options.pop("method", None)
    if not isinstance(name, str) or name not in methods:
        raise CompressError(
            f"step {number}: no method {name!r}; the methods are {', '.join(sorted(methods))}"
        )
    where = f"step {number} ({name})"
    layers = checked(f"{where}: layers", options.pop("layers", ["*"]), tuple[str, ...])
    excepted = checked(f"{where}: except", options.pop("except", []), tuple[str, ...])
    return Step(name, build(methods[name], where, options, ("layers", "except")), layers, excepted)


def unknown(where: str, content: Mapping[str, Any], legal: tuple[str, ...]) -> None:
    """Refuse keys that mean nothing."""
    if extra := sorted(set(content) - set(legal)):
        raise CompressError(
            f"{where}: unknown key {extra[0]!r}; known are {', '.join(legal) or 'none'}"
        )


def build(kind: type, where: str, content: Any, also: tuple[str, ...] = ()) -> Any:
    """An instance of a dataclass from the keys of a table, each of its field's type."""
    if not isinstance(content, dict):
        raise CompressError(f"{where}: must be a table, got {content!r}")
    names = tuple(f.name for f in dataclasses.fields(kind))
    unknown(where, content, (*names, *also))
    missing = [
        f.name
        for f in dataclasses.fields(kind)
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and f.name not in content
    ]
    if missing:
        raise CompressError(f"{where}: {missing[0]!r} must be given")
    hints = get_type_hints(kind)
    values = {k: checked(f"{where}: {k}", v, hints[k]) for k, v in content.items()}
    try:
        return kind(**values)
    except HwcError as error:
        raise CompressError(f"{where}: {error}") from None


def checked(where: str, value: Any, wanted: Any) -> Any:
    """`value` as `wanted`: bool, int, float (whole numbers too), str, tuples of them or unions."""
    for kind in get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,):
        if kind in (bool, int, str) and type(value) is kind:
            return value
        if kind is float and type(value) in (int, float):
            return float(value)
        if get_origin(kind) is tuple and isinstance(value, list):
            return tuple(checked(where, item, get_args(kind)[0]) for item in value)
        if str(get_origin(kind)) == "typing.Literal" and value in get_args(kind):
            return value
    text = getattr(wanted, "__name__", None) if isinstance(wanted, type) else None
    said = str(wanted).replace("typing.", "").replace("...", "").replace(", ]", "]")
    raise CompressError(f"{where}: must be {text or said}, got {value!r}")
