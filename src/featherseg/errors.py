"""What FeatherSeg raises when its input, not its code, is at fault.

Every message says what was expected, what came, where, and what to do next. The command
line prints it as one line and exits with status 2.
"""


class FeatherSegError(Exception):
    """Base of all errors a user can mend."""


class ImageError(FeatherSegError):
    """An image or mask file cannot be used."""


class DataError(FeatherSegError):
    """A dataset folder, a pack or a split file cannot be used."""


class RecipeError(FeatherSegError):
    """A recipe, a network name or an option of one cannot be used."""


class RunError(FeatherSegError):
    """A run folder or a checkpoint cannot be used."""


class DivergedError(RunError):
    """A training's loss stopped being finite."""


class BundleError(FeatherSegError):
    """A model bundle cannot be used, or is not what its manifest says."""


class GateError(BundleError):
    """A quantized network is not as good as the one it was made from."""


class StorageError(FeatherSegError):
    """A file cannot be written."""


class MissingExtraError(FeatherSegError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package '{package}', which is not installed; "
            f"install it with: pip install 'featherseg[{extra}]'"
        )
