"""Quantization-aware fine-tuning: a network learns to give its own answers through 8 bits.

Weights and inputs of every layer are rounded as `compress.quantize` will round them, with the
gradient passed straight through the rounding (Jacob et al. 2018, doi:10.1109/CVPR.2018.00286).
The teacher is the network itself in float32, on calibration images: no mask is needed, and what
the network has learned stays what it was. Batch norms are frozen; folding them into the weights
scales each output channel, which rounding for each channel follows.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from featherseg.losses.distillation import kl_divergence
from featherseg.losses.labels import log_probabilities
from featherseg.networks.presence import with_presence
from featherseg.types import Floats

EPOCHS = 12
_LEARNING_RATE = 1e-4
_BATCH = 4
_LEVELS = 255
_LARGEST_WEIGHT = 127
_TINIEST = 1e-8

Layer = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
Progress = Callable[[Sequence[int]], Iterable[int]]


def fine_tune(
    network: nn.Module,
    images: Floats,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: Progress = iter,
) -> nn.Module:
    """A copy of `network` in eval mode whose weights suit 8 bits; the original is not changed.

    `network` should be fused already; `images` is float32 (n, C, h, w), as it takes them. Weights
    come back rounded to the values that int8 holds, times a scale for each output channel.
    """
    teacher = copy.deepcopy(network).eval().requires_grad_(False)
    student = copy.deepcopy(teacher).requires_grad_(True)
    batches = torch.split(torch.from_numpy(images), _BATCH)
    hooks = _round_inputs(student, _input_ranges(teacher, batches))
    layers = _layers(student)
    for layer in layers.values():
        parametrize.register_parametrization(layer, "weight", _Rounded(_output_axis(layer)))
    optimizer = torch.optim.Adam(student.parameters(), lr=_LEARNING_RATE)
    # Steps end at 0: what is near already would otherwise be shaken by Adam's steps of one size.
    steps = max(1, epochs * len(batches))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in progress(range(epochs)):
        for index in torch.randperm(len(batches), generator=generator).tolist():
            optimizer.zero_grad()
            _distance(student, teacher, batches[index]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    for layer in layers.values():
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    for hook in hooks:
        hook.remove()
    return student.eval()


class _Rounded(nn.Module):
    """A weight rounded to 8 bits, symmetrically, with a scale for each index of one axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, weight: Tensor) -> Tensor:
        others = [axis for axis in range(weight.dim()) if axis != self.axis]
        largest = weight.detach().abs().amax(dim=others)
        scale = (largest / _LARGEST_WEIGHT).clamp(min=_TINIEST)
        zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(
            weight, scale, zero, self.axis, -_LARGEST_WEIGHT, _LARGEST_WEIGHT
        )


def _layers(network: nn.Module) -> dict[str, Layer]:
    return {name: module for name, module in network.named_modules() if isinstance(module, Layer)}


def _output_axis(layer: Layer) -> int:
    return 1 if isinstance(layer, nn.ConvTranspose2d) else 0


@torch.no_grad()
def _input_ranges(network: nn.Module, batches: Iterable[Tensor]) -> dict[str, tuple[float, float]]:
    """The smallest and the largest value that each layer takes in, 0 included."""
    ranges: dict[str, tuple[float, float]] = {}

    def seen_by(name: str) -> Callable[..., None]:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = (each.item() for each in inputs[0].aminmax())
            before = ranges.get(name, (0.0, 0.0))
            ranges[name] = (min(before[0], low), max(before[1], high))

        return look

    hooks = [
        layer.register_forward_pre_hook(seen_by(name)) for name, layer in _layers(network).items()
    ]
    for batch in batches:
        with_presence(network, batch)
    for hook in hooks:
        hook.remove()
    return ranges


def _round_inputs(network: nn.Module, ranges: dict[str, tuple[float, float]]) -> list[Any]:
    """Round what every layer takes in to 8 bits over its range; gives the hooks to remove."""

    def rounding(low: float, high: float) -> Callable[..., tuple[Tensor, ...]]:
        scale = max((high - low) / _LEVELS, _TINIEST)
        zero = round(-low / scale)

        def rounded(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            first, *others = inputs
            return (
                torch.fake_quantize_per_tensor_affine(first, scale, zero, 0, _LEVELS),
                *others,
            )

        return rounded

    return [
        layer.register_forward_pre_hook(rounding(*ranges[name]))
        for name, layer in _layers(network).items()
        if name in ranges
    ]


def _distance(student: nn.Module, teacher: nn.Module, batch: Tensor) -> Tensor:
    """How far the student's probabilities are from the teacher's, presence included."""
    logits, presence = with_presence(student, batch)
    with torch.no_grad():
        known, known_presence = with_presence(teacher, batch)
    distance = kl_divergence(logits, log_probabilities(known)[:, 1:].exp())
    if presence is not None and known_presence is not None:
        distance = distance + functional.binary_cross_entropy_with_logits(
            presence, known_presence.sigmoid()
        )
    return distance
