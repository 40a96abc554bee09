"""FeatherSeg: small, fast, honestly measured segmentation of medical images.

The public names are loaded when they are first used, so that importing the package costs
nothing and never imports torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featherseg.bundle import load_bundle
    from featherseg.evaluation import evaluate
    from featherseg.images import read_image
    from featherseg.networks import build_network
    from featherseg.segment import Segmenter
    from featherseg.train.loop import fit

__version__ = "0.1.0"

_HOMES = {
    "Segmenter": "featherseg.segment",
    "build_network": "featherseg.networks",
    "evaluate": "featherseg.evaluation",
    "fit": "featherseg.train.loop",
    "load_bundle": "featherseg.bundle",
    "read_image": "featherseg.images",
}

__all__ = ["Segmenter", "build_network", "evaluate", "fit", "load_bundle", "read_image"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'featherseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
