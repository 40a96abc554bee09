"""A network that tells presence, as ONNX."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from featherseg.export.models import write_onnx
from featherseg.preprocess import Preprocessing


class Telling(nn.Module):
    """Logits, and from their mean whether anything is there."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(3, 2, 3, padding=1)
        self.presence = nn.Linear(2, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.forward_with_presence(image)[0]

    def forward_with_presence(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.body(image)
        return logits, self.presence(logits.mean(dim=(2, 3)))


def test_presence_is_a_second_output(tmp_path: Path) -> None:
    network = Telling().eval()
    write_onnx(network, Preprocessing((16, 24)), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert [value.name for value in model.graph.output] == ["logits", "presence"]
    axes = [
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in model.graph.output
    ]
    assert axes == [["batch", 2, "height", "width"], ["batch", 1]]
    described = {prop.key: prop.value for prop in model.metadata_props}
    assert described["presence"] == "logits too"
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    images = np.random.default_rng(0).random((3, 3, 32, 16), dtype=np.float32)
    found = session.run(None, {"image": images})
    with torch.no_grad():
        expected = network.forward_with_presence(torch.from_numpy(images))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-5)
