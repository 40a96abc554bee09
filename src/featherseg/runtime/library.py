"""The OpenVINO library, loaded lightly and without telemetry.

`import openvino` alone imports its conversion tools, which report the import to a statistics
service over the network and take a third of the start-up time. `load_openvino` imports the
runtime without the tools and keeps the telemetry package out of the process for good, so that
nothing that uses OpenVINO later can send anything either.
"""

import sys
from functools import cache
from types import ModuleType

_TELEMETRY = "openvino_telemetry"
_TOOLS = "openvino.tools.ovc"


@cache
def load_openvino() -> ModuleType:
    """The `openvino` module without its conversion tools, telemetry blocked.

    A None in sys.modules makes an import fail with ModuleNotFoundError, which OpenVINO expects:
    it then leaves out the tools, and the tools, if imported later, use their silent stub.
    """
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    blocks_tools = "openvino" not in sys.modules
    if blocks_tools:
        sys.modules[_TOOLS] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if blocks_tools:
            del sys.modules[_TOOLS]
    module: ModuleType = openvino
    return module
