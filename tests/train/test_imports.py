"""Training imports nothing that a training machine may lack."""

import subprocess
import sys


def test_no_runtime_and_no_reference_library_is_imported() -> None:
    program = (
        "import sys, featherseg.train.loop, featherseg.train.run, featherseg.compress.card;"
        "unwanted = {'openvino', 'onnx', 'onnxruntime', 'nncf', 'kornia', 'monai', 'torchvision',"
        " 'lightning_fabric', 'timm'};"
        "print(sorted(unwanted & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
