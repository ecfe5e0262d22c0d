"""Every method that a recipe may name."""

from hwc.models.binary import steps as binary
from hwc.models.compress.method import Method
from hwc.models.compress.steps import FineTune, Levels, Uniform
from hwc.models.pruning import steps as pruning
from hwc.models.pruning.channel_steps import ChannelPruning
from hwc.models.pruning.merging_step import Merging
from hwc.models.pruning.second_order_steps import BrainDamage, GlobalSurgeon
from hwc.models.quantize.steps import FixedPoint
from hwc.models.quantize.surgeon_rounding import SurgeonRounding
from hwc.models.sharing import steps as sharing

METHODS: dict[str, type[Method]] = {
    "biased_decay": pruning.BiasedDecay,
    "binary": binary.Binary,
    "channels": ChannelPruning,
    "few_multiplications": binary.FewMultiplications,
    "finetune": FineTune,
    "fixed_point": FixedPoint,
    "gradual": pruning.Gradual,
    "hash": sharing.Hash,
    "kmeans": sharing.KMeans,
    "levels": Levels,
    "loss_aware": binary.LossAware,
    "magnitude": pruning.Magnitude,
    "merging": Merging,
    "n_of_m": pruning.NofM,
    "obd": BrainDamage,
    "obs": pruning.Surgeon,
    "obs_global": GlobalSurgeon,
    "obs_rounding": SurgeonRounding,
    "power_of_two": sharing.PowerOfTwo,
    "product_quantization": sharing.ProductQuantization,
    "regularized": pruning.Regularized,
    "residual_quantization": sharing.ResidualQuantization,
    "soft_sharing": sharing.SoftSharing,
    "surgery": pruning.Surgery,
    "ternary": binary.Ternary,
    "trained_ternary": binary.Trained,
    "uniform": Uniform,
    "uniform_bins": sharing.UniformBins,
}
