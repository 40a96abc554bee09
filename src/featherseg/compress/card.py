"""A network's card: its size and cost beside what its paper says.

Counts are made on torch's meta device: nothing is allocated and nothing computed.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from featherseg.compress.fuse import fuse
from featherseg.networks import NETWORKS, build_network, check_network_name
from featherseg.networks.published import PUBLISHED, Published

_GIGA = 1e9


def card(name: str) -> dict[str, Any]:
    """What `featherseg networks --json` shows of one network; RecipeError for an unknown name.

    ``parameters`` is trainable, ``total`` includes running statistics, ``reparameterized`` and
    ``fused`` are trainable after merging branches and after folding batch norms. ``gmacs`` is
    of convolutions, transposed convolutions and linear layers for one image of ``input_size``.
    """
    check_network_name(name)
    facts = PUBLISHED[name]
    with torch.device("meta"):
        network = build_network(name)
    parameters = count_parameters(network)
    return {
        "name": name,
        "paper": facts.paper,
        "parameters": parameters,
        "total": parameters + _running_statistics(network),
        # None of these networks has branches to merge.
        "reparameterized": parameters,
        "fused": count_parameters(fuse(network)),
        "gmacs": round(count_macs(network, facts.input_size) / _GIGA, 3),
        "input_size": list(facts.input_size),
        "published": [_compared(row, parameters) for row in facts.published],
        "status": facts.status,
        "note": facts.note,
    }


def cards() -> list[dict[str, Any]]:
    """The cards of all networks, in the order of `NETWORKS`."""
    return [card(name) for name in NETWORKS]


def story(name: str) -> str:
    """The paper, the departures from it and what was checked: the text of the network's file."""
    check_network_name(name)
    with torch.device("meta"):
        module = inspect.getmodule(type(build_network(name)))
    return inspect.getdoc(module) or ""


def count_parameters(network: nn.Module) -> int:
    """The number of trainable values."""
    return sum(value.numel() for value in network.parameters() if value.requires_grad)


def count_macs(network: nn.Module, size: tuple[int, int], in_channels: int = 3) -> int:
    """Multiply-accumulates of all convolutions and linear layers for one image of `size`."""
    with _counting(network) as counts, torch.no_grad():
        network.eval()(torch.empty(1, in_channels, *size, device="meta"))
    return sum(counts)


@contextmanager
def _counting(network: nn.Module) -> Iterator[list[int]]:
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(_layer_macs(module, inputs[0], output))

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    layers = [module for module in network.modules() if isinstance(module, kinds)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield counts
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


def _running_statistics(network: nn.Module) -> int:
    return sum(value.numel() for value in network.buffers() if value.is_floating_point())


def _compared(row: Published, parameters: int) -> dict[str, Any]:
    difference = 100 * (parameters - row.parameters) / row.parameters
    return {**asdict(row), "difference_percent": round(difference, 3)}
