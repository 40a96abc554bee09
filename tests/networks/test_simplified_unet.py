"""What is special to the Simplified U-Net; its wiring is checked with that of U-Net."""

import torch

from featherseg.networks import build_network


def test_parameters_with_other_channels() -> None:
    counts = {(3, 2): 2_162_146, (1, 1): 2_161_841, (1, 2): 2_161_858}
    for (inputs, outputs), count in counts.items():
        with torch.device("meta"):
            network = build_network("simplified_unet", in_channels=inputs, out_channels=outputs)
        assert sum(value.numel() for value in network.parameters()) == count


def test_names_of_the_state_stay() -> None:
    """Checkpoints and bundles that were trained before hold these names."""
    with torch.device("meta"):
        state = build_network("simplified_unet").state_dict()
    convolution = ["convolutions.0.weight", "convolutions.0.bias"]
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    block = [*convolution, *(f"norm.{name}" for name in norm)]
    blocks = [f"encoder.{level}.{place}" for level in range(5) for place in range(2)]
    blocks += [f"up.{level}.1" for level in range(4)]
    blocks += [f"decoder.{level}.{place}" for level in range(4) for place in range(2)]
    names = [f"{prefix}.{name}" for prefix in blocks for name in block]
    assert list(state) == [*names, "head.weight", "head.bias"]
