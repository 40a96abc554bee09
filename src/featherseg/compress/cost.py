"""What a network costs: parameters, multiply-accumulates, and both layer by layer.

Costs are counted on torch's meta device: nothing is allocated and nothing computed.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

# Modules of one or two names ("encoder.3") make a summary that fits a screen.
_DEPTH = 2

Watch = Callable[[nn.Module, tuple[Tensor, ...], Any], None]


def count_parameters(network: nn.Module) -> int:
    """The number of trainable values."""
    return sum(value.numel() for value in network.parameters() if value.requires_grad)


def count_running_statistics(network: nn.Module) -> int:
    """The number of running means and variances."""
    norms = (module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    return sum(value.numel() for norm in norms for value in norm.buffers() if value.ndim)


def count_macs(network: nn.Module, size: tuple[int, int], in_channels: int = 3) -> int:
    """Multiply-accumulates of all convolutions and linear layers for one image of `size`.

    `network` is on the meta device.
    """
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(_layer_macs(module, inputs[0], output))

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    layers = [module for module in network.modules() if isinstance(module, kinds)]
    with _watched(layers, count):
        _run(network, size, in_channels)
    return sum(counts)


def summarize_layers(
    network: nn.Module, size: tuple[int, int], in_channels: int = 3
) -> list[dict[str, Any]]:
    """Name, kind, output shape (channels, height, width) and parameters, in order of running.

    `network` is on the meta device. Modules are listed to a depth of two names; ``shape`` is
    that of the last tensor where a module gives several.
    """
    names = {
        module: name
        for name, module in network.named_modules()
        if name and name.count(".") < _DEPTH and count_parameters(module)
    }
    rows: list[dict[str, Any]] = []

    def note(module: nn.Module, _: tuple[Tensor, ...], output: Any) -> None:
        last = output if isinstance(output, Tensor) else output[-1]
        rows.append(
            {
                "name": names[module],
                "kind": type(module).__name__,
                "shape": list(last.shape[1:]),
                "parameters": count_parameters(module),
            }
        )

    with _watched(names, note):
        _run(network, size, in_channels)
    return rows


def _run(network: nn.Module, size: tuple[int, int], in_channels: int) -> None:
    with torch.no_grad():
        network.eval()(torch.empty(1, in_channels, *size, device="meta"))


@contextmanager
def _watched(modules: Iterable[nn.Module], watch: Watch) -> Iterator[None]:
    handles = [module.register_forward_hook(watch) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _layer_macs(module: nn.Module, features: Tensor, output: Tensor) -> int:
    """Each weight is used once for every position of the output (transposed: of the input)."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    if isinstance(module, nn.Linear):
        return weight.numel() * (output.numel() // output.shape[-1])
    if isinstance(module, nn.ConvTranspose2d):
        return weight.numel() * features[:, 0].numel()
    return weight.numel() * output[:, 0].numel()
