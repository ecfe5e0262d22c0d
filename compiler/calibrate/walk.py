"""Quantization of the weights, layer after layer, with the float and the quantized network side by
side: each layer is fitted to the input that the quantized layers before it give (as in Wu et al.
2016), so that errors are corrected and not accumulated.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwc.compiler.calibrate.config import Config
from hwc.compiler.calibrate.draft import Draft
from hwc.compiler.calibrate.layers import Floats, canonical, channel_axis, is_linear, restore
from hwc.compiler.calibrate.losses import Loss, sqnr_db
from hwc.compiler.calibrate.plan import Plan
from hwc.compiler.calibrate.rounding import Moments, nearest, retargeted, second_order
from hwc.compiler.calibrate.step import activations, apply
from hwc.compiler.calibrate.weights import Grid, grid, ideal_scales
from hwc.compiler.source import ArgMax, Quant, Source, SourceNode, TopK, evaluate

__all__ = ["Walk"]


class Walk:
    """One pass over a source whose activations are quantized; `placed` names those quantizers.

    After `run`, `draft` holds the quantized source and `losses` what it costs.
    """

    def __init__(
        self, source: Source, placed: Mapping[str, Loss], plan: Plan, scales: Mapping[str, float]
    ) -> None:
        self.source, self.placed = source, placed
        self.plan, self.scales = plan, scales
        self.draft = Draft(source)
        self.losses: list[Loss] = []
        self._float: dict[str, np.ndarray] = {}
        self._quantized: dict[str, np.ndarray] = {}

    def run(self, frames: Mapping[str, np.ndarray], config: Config) -> None:
        """Quantize every layer of the plan and measure."""
        source = self.source
        nodes = [n for n in source.nodes if n.name not in source.constants]
        constants = self._constants(frames)
        for item in source.inputs:
            x = np.asarray(frames[item.name], np.float64) * (item.scale or 1.0)
            self._float[item.name] = self._quantized[item.name] = x
        compared = {n.args[0]: n.name for n in nodes if isinstance(n.op, (ArgMax, TopK))}
        last = {arg: i for i, node in enumerate(nodes) for arg in node.args}
        for i, node in enumerate(nodes):
            if is_linear(node.op) and node.args[1] in source.tensors:
                self._layer(node, constants, config)
            else:
                self._other(node, constants)
            for name in {node.name} & (set(source.outputs) | set(compared)):
                if not isinstance(node.op, (ArgMax, TopK)):
                    self._output(compared.get(name, name), name)
            for name in {*activations(node), node.name}:
                if last.get(name, i) == i:
                    del self._float[name], self._quantized[name]

    def _constants(self, frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All tensors, and the values of quantizers of tensors."""
        source = self.source
        names = tuple(n.name for n in source.nodes if n.name in source.constants)
        one = {name: x[:1] for name, x in frames.items()}
        return dict(source.tensors) | evaluate(source, one, np.float64, names)

    def _output(self, label: str, name: str) -> None:
        x, y = self._float[name], self._quantized[name]
        self.losses.append(Loss(label, "output", 0, float(x.min()), float(x.max()), sqnr_db(x, y)))

    def _other(self, node: SourceNode, constants: Mapping[str, np.ndarray]) -> None:
        xs = [self._float[a] for a in activations(node)]
        ys = [self._quantized[a] for a in activations(node)]
        self._quantized[node.name] = apply(node, ys, constants)
        if node.name not in self.placed:
            same = all(x is y for x, y in zip(xs, ys, strict=True))
            value = self._quantized[node.name] if same else apply(node, xs, constants)
            self._float[node.name] = value
            return
        self._float[node.name] = xs[0]
        loss = self.placed[node.name]
        ratio = sqnr_db(xs[0], apply(node, xs, constants))
        self.losses.append(Loss(loss.name, "activation", loss.bits, loss.low, loss.high, ratio))

    def _layer(self, node: SourceNode, constants: dict[str, np.ndarray], config: Config) -> None:
        x, y = (values[node.args[0]] for values in (self._float, self._quantized))
        name = node.args[1]
        exact = apply(node, [x], constants)
        weight = np.asarray(constants[name], np.float64)
        lattice = self._grid(node, weight, config)
        quantized = self._rounded(node, weight, lattice.scale, config)
        constants = constants | {name: quantized}
        ratio = sqnr_db(exact, apply(node, [x], constants))
        got = apply(node, [y], constants)
        self._move_bias(node, constants, lattice, exact, got, config)
        self._float[node.name], self._quantized[node.name] = exact, got
        self._emit(node, quantized, lattice.scale, config)
        most = (2 ** (config.weight_bits - 1) - 1) * float(lattice.scale.max())
        self.losses.append(Loss(node.name, "weight", config.weight_bits, -most, most, ratio))

    def _move_bias(
        self,
        node: SourceNode,
        constants: Mapping[str, np.ndarray],
        lattice: Grid,
        exact: np.ndarray,
        got: np.ndarray,
        config: Config,
    ) -> None:
        """Put the bias on its grid, where channel means are right; `got` is changed with it."""
        name = node.args[2] if len(node.args) > 2 else None
        if name is not None and name not in self.source.tensors:
            return  # a quantizer holds it
        bias = np.zeros(got.shape[1])
        if name is not None:
            bias = np.asarray(constants[name], np.float64)
        moved = bias
        if config.bias_correction:
            moved = bias + (exact - got).mean(axis=(0, *range(2, exact.ndim)))
        moved = lattice.place(moved)
        if name is not None or moved.any():
            self.draft.set_constant(node.name, 2, moved, "bias")
        got += (moved - bias).reshape(-1, *(1,) * (exact.ndim - 2))

    def _grid(self, node: SourceNode, weight: Floats, config: Config) -> Grid:
        layer = self.plan.layers[node.name]
        ideal = ideal_scales(node.op, weight, config, layer.compared)
        result = self.scales[layer.results[0]] if layer.results else None
        return grid(ideal, self.scales[layer.source], result, layer.plain, layer.compared, config)

    def _rounded(self, node: SourceNode, weight: Floats, scale: Floats, config: Config) -> Floats:
        """The weight on its grid."""
        most = 2 ** (config.weight_bits - 1) - 1
        form = canonical(node.op, weight)
        groups, outputs = form.shape[:2]
        rows = form.reshape(groups, outputs, -1)
        scales = np.broadcast_to(scale, groups * outputs).reshape(groups, outputs, 1)
        if config.rounding == "nearest":
            codes = nearest(rows, scales, most)
        else:
            hessian, cross = self._moments(node, weight, config)
            found = [
                second_order(retargeted(w, h, c), s, most, h)
                for w, s, h, c in zip(rows, scales, hessian, cross, strict=True)
            ]
            codes = np.stack(found)
        return restore(node.op, (codes * scales).reshape(form.shape), weight.shape)

    def _moments(self, node: SourceNode, weight: Floats, config: Config) -> tuple[Floats, Floats]:
        """Of the layer's input in the quantized network and in the float one."""
        x, exact = self._quantized[node.args[0]], self._float[node.args[0]]
        moments = Moments(node.op, weight.shape[2:], config.bias_correction)
        step = max(1, (8 << 20) // _row_size(node, weight, x))
        for start in range(0, len(x), step):
            moments.add(x[start : start + step], exact[start : start + step])
        return moments.matrices()

    def _emit(self, node: SourceNode, weight: Floats, scale: Floats, config: Config) -> None:
        """Put a quantizer between the weight and the layer."""
        draft = self.draft
        most = 2 ** (config.weight_bits - 1) - 1
        axis = channel_axis(node.op) if len(scale) > 1 else None
        draft.set_constant(node.name, 1, weight, "weight")
        args = draft.node(node.name).args
        name, scales = (draft.unique(f"{node.name}.weight_{what}") for what in ("quant", "scale"))
        draft.tensors[scales] = scale if len(scale) > 1 else scale.reshape(())
        index = draft.nodes.index(draft.node(node.name))
        quantizer = SourceNode(name, Quant(-most, most, 0, axis), (args[1], scales))
        draft.insert(index, quantizer)
        draft.replace(node.name, node.op, args[0], name, *args[2:])


def _row_size(node: SourceNode, weight: Floats, x: np.ndarray) -> int:
    """Elements of the windows that one frame's input becomes, at most."""
    taps = int(np.prod(weight.shape[2:]))
    stride = int(np.prod(getattr(node.op, "stride", (1,))))
    return x[0].size * taps * (stride if "Transpose" in type(node.op).__name__ else 1)
