"""A network's card: its size and cost beside what its paper says."""

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from featherseg.compress.cost import (
    count_macs,
    count_parameters,
    count_running_statistics,
    summarize_layers,
)
from featherseg.compress.fuse import fuse, reparameterize
from featherseg.networks import NETWORKS, build_network, check_network_name
from featherseg.networks.published import PUBLISHED, Published

_GIGA = 1e9


def card(name: str) -> dict[str, Any]:
    """What `featherseg networks --json` shows of one network; RecipeError for an unknown name.

    ``parameters`` is trainable, ``total`` includes running statistics, ``reparameterized`` and
    ``fused`` are trainable after merging branches and after folding batch norms. ``gmacs`` is
    of convolutions, transposed convolutions and linear layers for one image of ``input_size``,
    branches merged. ``difference_percent`` compares what the paper counts: the total for
    LAEDNet's tables, the re-parameterized network for AL-Net's, else trainable parameters.
    """
    network = _without_memory(name)
    facts = PUBLISHED[name]
    merged = reparameterize(network)
    parameters = count_parameters(network)
    counts = {
        "parameters": parameters,
        "total": parameters + count_running_statistics(network),
        "reparameterized": count_parameters(merged),
        "fused": count_parameters(fuse(merged)),
    }
    return {
        "name": name,
        "paper": facts.paper,
        **counts,
        "gmacs": round(count_macs(merged, facts.input_size) / _GIGA, 3),
        "input_size": list(facts.input_size),
        "published": [_compared(row, counts) for row in facts.published],
        "status": facts.status,
        "note": facts.note,
    }


def layers(name: str) -> list[dict[str, Any]]:
    """A network's modules in the order they run, with output shapes at the paper's size."""
    return summarize_layers(_without_memory(name), PUBLISHED[name].input_size)


def story(name: str) -> str:
    """The paper, the departures from it and what was checked: the text of the network's file."""
    check_network_name(name)
    function = NETWORKS[name]
    plain = function.func if isinstance(function, partial) else function
    module = inspect.getmodule(plain)
    return inspect.getdoc(module) or ""


def _without_memory(name: str) -> nn.Module:
    check_network_name(name)
    with torch.device("meta"):
        return build_network(name)


def _compared(row: Published, counts: Mapping[str, int]) -> dict[str, Any]:
    difference = 100 * (counts[row.counted] - row.parameters) / row.parameters
    return {
        "paper": row.paper,
        "table": row.table,
        "parameters": row.parameters,
        "gflops": row.gflops,
        "mb": row.mb,
        "difference_percent": round(difference, 3),
    }
