"""What every runtime demands of an ONNX file before it is read."""

import mmap
from pathlib import Path

from featherseg.errors import BundleError

# How a tensor in a file outside the model names that file: the key "location" of an entry,
# as the protobuf wire format has it (field 1, eight bytes).
_EXTERNAL_DATA = b"\x0a\x08location"


def refuse_external_data(model: Path) -> None:
    """Raise BundleError for an ONNX file that keeps weights in other files.

    Such a file could name any file of the machine, and none is needed here.
    """
    with (
        model.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        if content.find(_EXTERNAL_DATA) >= 0:
            raise BundleError(
                f"{model} keeps weights in another file, which bundles must not do; "
                "save it as one file without external data"
            )
