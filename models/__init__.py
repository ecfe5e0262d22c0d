"""Training, quantizers, data sets and checkpoints on PyTorch."""

from hwc.models.capture import CaptureError, InputMap, capture
from hwc.models.checkpoint import Checkpoint, CheckpointError, load, save
from hwc.models.data import DATASETS, DataError, Dataset, load_data
from hwc.models.quantize.activation import BipolarAct, PowerOfTwoScale, QuantAct, QuantInput
from hwc.models.quantize.snap import Affine, snap
from hwc.models.quantize.weight import (
    BinaryWeight,
    IntWeight,
    TernaryWeight,
    WeightQuantizer,
    clip_weights,
    quantize_weight,
)
from hwc.models.train import Trained, train
from hwc.models.zoo import NETS, Net, net

__all__ = [
    "DATASETS",
    "NETS",
    "Affine",
    "BinaryWeight",
    "BipolarAct",
    "CaptureError",
    "Checkpoint",
    "CheckpointError",
    "DataError",
    "Dataset",
    "InputMap",
    "IntWeight",
    "Net",
    "PowerOfTwoScale",
    "QuantAct",
    "QuantInput",
    "TernaryWeight",
    "Trained",
    "WeightQuantizer",
    "capture",
    "clip_weights",
    "load",
    "load_data",
    "net",
    "quantize_weight",
    "save",
    "snap",
    "train",
]
