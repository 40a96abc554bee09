"""Optional dependencies: which extra brings what, and one clear line when it is missing."""

from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

from featherseg.errors import MissingExtraError

# Extra -> distribution names, as in pyproject.toml (a test compares the two).
EXTRAS = MappingProxyType(
    {
        "evaluate": ("jinja2", "matplotlib", "nibabel", "safetensors", "scipy"),
        "train": ("lightning-fabric", "pyyaml", "timm", "torch", "torchvision"),
        "export": ("nncf", "onnx", "onnxruntime", "onnxscript"),
        "onnxruntime": ("onnxruntime",),
        "cluster": ("distributed",),
        "tensorboard": ("tensorboard",),
    }
)


def installed_version(package: str) -> str | None:
    """The installed version of a distribution, or None; nothing is imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def require(*extras: str) -> None:
    """Raise MissingExtraError for the first package of `extras` that is not installed."""
    for extra in extras:
        for package in EXTRAS[extra]:
            if installed_version(package) is None:
                raise MissingExtraError(package, extra)
