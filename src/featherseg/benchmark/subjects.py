"""What is compared: networks, bundles and peers, each as a torch network and as a bundle."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from featherseg.benchmark.peers import PEERS
from featherseg.benchmark.scratch import write_scratch_bundle
from featherseg.bundle import MANIFEST_FILE, Bundle, load_bundle
from featherseg.compress.cost import count_macs, count_parameters
from featherseg.compress.fuse import fuse, reparameterize
from featherseg.errors import FeatherSegError, ImageError, RecipeError
from featherseg.networks import NETWORKS, build_network
from featherseg.networks.names import did_you_mean
from featherseg.zoo import PREFIX, zoo_bundle

_CHANNELS = 3

Kind = Literal["network", "bundle", "peer"]


@dataclass(frozen=True)
class Subject:
    """One thing to be timed.

    ``name`` is what it was asked for by; ``architecture`` names its network. ``network`` has
    random weights and is None where only the bundle's files are known. ``bundle`` holds the
    fused network's files; ``macs`` are multiply-accumulates of one image at the bundle's input
    size, branches merged.
    """

    name: str
    kind: Kind
    architecture: str
    network: nn.Module | None
    bundle: Bundle
    parameters: int
    macs: int | None


def check_names(names: Sequence[str], size: int) -> None:
    """Find out before anything is exported, which takes long, whether all of it can be opened.

    Raises RecipeError for a name that is neither a network nor a bundle's folder, BundleError
    for a damaged bundle, and FeatherSegError for a `size` that a network cannot take.
    """
    for name in names:
        if _is_bundle(name):
            load_bundle(_bundle_folder(name))
        elif name in NETWORKS:
            with torch.device("meta"):
                _macs(build_network(name), (size, size), _CHANNELS)
        else:
            raise RecipeError(
                f"'{name}' is neither a network of `featherseg networks` nor the folder of a "
                f"bundle{did_you_mean(name, NETWORKS)}"
            )


def open_subject(name: str, size: int, folder: Path) -> Subject:
    """A network of `NETWORKS` for inputs of `size` x `size`, or a bundle at its own input size.

    Files of networks are written to `folder`. `check_names` has passed the name.
    """
    if _is_bundle(name):
        return _bundle_subject(name)
    torch.manual_seed(0)
    return _built(name, "network", build_network(name), size, folder)


def open_peer(name: str, size: int, folder: Path) -> Subject:
    """A peer of `PEERS`, its files written to `folder`."""
    torch.manual_seed(0)
    return _built(name, "peer", PEERS[name](size), size, folder)


def _built(name: str, kind: Kind, network: nn.Module, size: int, folder: Path) -> Subject:
    network = network.eval()
    macs = _macs(network, (size, size), _CHANNELS)
    bundle = write_scratch_bundle(fuse(network), name, size, folder / name)
    return Subject(name, kind, name, network, bundle, count_parameters(network), macs)


def _bundle_subject(name: str) -> Subject:
    bundle = load_bundle(_bundle_folder(name))
    manifest = bundle.manifest
    network = _network_of(bundle)
    expected = manifest.preprocessing
    macs = None
    if network is not None:
        macs = _macs(network, expected.input_size, expected.channels)
    return Subject(
        name, "bundle", manifest.network.name, network, bundle, manifest.parameters, macs
    )


def _network_of(bundle: Bundle) -> nn.Module | None:
    """The network that a bundle's files were made from, with random weights.

    None for an ensemble, whose members are one graph only there, and for a network that this
    version does not know.
    """
    entry = bundle.manifest.network
    if entry.name not in NETWORKS or bundle.manifest.members > 1:
        return None
    torch.manual_seed(0)
    return build_network(entry.name, **entry.options).eval()


def _macs(network: nn.Module, size: tuple[int, int], channels: int) -> int:
    shadow = copy.deepcopy(network).to("meta")
    try:
        return count_macs(reparameterize(shadow), size, channels)
    except ImageError as error:
        raise FeatherSegError(f"--size {size[0]}: {error}") from error


def _bundle_folder(name: str) -> Path:
    return zoo_bundle(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else Path(name)


def _is_bundle(name: str) -> bool:
    return name.startswith(PREFIX) or (Path(name) / MANIFEST_FILE).is_file()
