"""Peers, with random weights: what people run today for the same task.

They are no dependency of the package: `make benchmark` installs them into an environment of
their own, whose versions `benchmarks/peers.txt` pins.

* U-Nets of segmentation-models-pytorch on MobileNetV2 and EfficientNet-B0.
* nnU-Net's 2-D network and predictor (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z) at
  the settings that its planner chooses for images of the given size and its predictor has by
  default: mirrored along both axes, tiles of the whole image, Gaussian weights.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from featherseg.errors import FeatherSegError
from featherseg.extras import installed_version
from featherseg.types import Pixels

PACKAGES = ("segmentation-models-pytorch", "nnunetv2")
_CHANNELS = 3
_SMP_MULTIPLE = 32
# nnU-Net's ExperimentPlanner: UNet_base_num_features, UNet_max_features_2d,
# UNet_featuremap_min_edge_length, and the largest number of poolings it asks for.
_FIRST_WIDTH, _LARGEST_WIDTH, _SMALLEST_EDGE, _MOST_POOLINGS = 32, 512, 4, 999999
# Its blocks of encoder and decoder hold two convolutions each.
_CONVS_A_STAGE = 2
_MIRRORED_AXES = (0, 1)
_NNUNET = "nnunet_2d"


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the announcements of peers on standard output, and their outdated calls of torch."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def require_peers(size: int) -> None:
    """Raise FeatherSegError where a peer is not installed here or cannot take images of `size`."""
    missing = [name for name in PACKAGES if installed_version(name) is None]
    if missing:
        raise FeatherSegError(
            f"--peers needs {' and '.join(missing)}, which this environment lacks; run "
            "`make benchmark`, which installs them into .venv-benchmark and measures there"
        )
    if size % _SMP_MULTIPLE or _topology(size)[3] != (size, size):
        raise FeatherSegError(
            f"--size {size}: peers take sides such as 64, 128, 256, 384 and 512, which can be "
            "halved until less than 8 is left; choose one of them, or leave out --peers"
        )


def _smp_unet(encoder: str) -> nn.Module:
    with _silent():
        import segmentation_models_pytorch

    unet: nn.Module = segmentation_models_pytorch.Unet(
        encoder, encoder_weights=None, in_channels=_CHANNELS, classes=1
    )
    return unet


def nnunet(size: int) -> nn.Module:
    """nnU-Net's 2-D network for images of `size` x `size`, three channels and one label."""
    with _silent():
        from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    network: nn.Module = get_network_from_plans(
        **_architecture(size),
        input_channels=_CHANNELS,
        output_channels=2,
        deep_supervision=False,
    )
    return network


def _topology(size: int) -> Any:
    """What nnU-Net plans for square pixels: poolings, strides, kernels, patch, multiples."""
    with _silent():
        from nnunetv2.experiment_planning.experiment_planners.network_topology import (
            get_pool_and_conv_props,
        )

    return get_pool_and_conv_props((1.0, 1.0), (size, size), _SMALLEST_EDGE, _MOST_POOLINGS)


def _architecture(size: int) -> dict[str, Any]:
    """The part of nnU-Net's plans that describes its network."""
    _, strides, kernels, _, _ = _topology(size)
    stages = len(strides)
    return {
        "arch_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [
                min(_LARGEST_WIDTH, _FIRST_WIDTH * 2**stage) for stage in range(stages)
            ],
            "conv_op": "torch.nn.modules.conv.Conv2d",
            "kernel_sizes": kernels,
            "strides": strides,
            "n_conv_per_stage": [_CONVS_A_STAGE] * stages,
            "n_conv_per_stage_decoder": [_CONVS_A_STAGE] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "arch_kwargs_req_import": ("conv_op", "norm_op", "dropout_op", "nonlin"),
    }


def nnunet_predictor(network: nn.Module, size: int) -> Callable[[Pixels], object]:
    """nnU-Net's own predictor around `network`: uint8 (size, size, 3) pixels to labels."""
    with _silent():
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    plans = PlansManager(_plans(size))
    predictor.manual_initialization(
        network,
        plans,
        plans.get_configuration("2d"),
        [network.state_dict()],
        {
            "channel_names": {"0": "red", "1": "green", "2": "blue"},
            "labels": {"background": 0, "lesion": 1},
            "file_ending": ".png",
        },
        "nnUNetTrainer",
        _MIRRORED_AXES,
    )
    # A picture is a volume of one slice, as its reader of pictures gives it.
    properties = {"spacing": (999.0, 1.0, 1.0)}

    def predict(pixels: Pixels) -> object:
        image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[:, np.newaxis], np.float32)
        return predictor.predict_single_npy_array(image, properties)

    return predict


def _plans(size: int) -> dict[str, Any]:
    """What nnU-Net's planner writes for pictures of one size, as far as its predictor reads it."""
    architecture = _architecture(size)
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "dataset_name": "Dataset001_Benchmark",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [999.0, 1.0, 1.0],
        "original_median_shape_after_transp": [1, size, size],
        "image_reader_writer": "NaturalImage2DIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        # Z-scores are made from the image itself: nothing of a training set is needed.
        "foreground_intensity_properties_per_channel": {
            str(channel): {} for channel in range(_CHANNELS)
        },
        "configurations": {
            "2d": {
                "data_identifier": "nnUNetPlans_2d",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": [size, size],
                "median_image_size_in_voxels": [float(size), float(size)],
                "spacing": [1.0, 1.0],
                "normalization_schemes": ["ZScoreNormalization"] * _CHANNELS,
                "use_mask_for_norm": [False] * _CHANNELS,
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": resampling,
                "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
                "architecture": {
                    "network_class_name": architecture["arch_class_name"],
                    "arch_kwargs": architecture["arch_kwargs"],
                    "_kw_requires_import": architecture["arch_kwargs_req_import"],
                },
                "batch_dice": True,
            }
        },
    }


# Name -> function of the side of the images.
PEERS: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType(
    {
        "smp_unet_mobilenet_v2": lambda _: _smp_unet("mobilenet_v2"),
        "smp_unet_efficientnet_b0": lambda _: _smp_unet("efficientnet-b0"),
        _NNUNET: nnunet,
    }
)


def own_predictor(name: str, network: nn.Module, size: int) -> Callable[[Pixels], object] | None:
    """The predictor that comes with a peer, None where it brings none."""
    return nnunet_predictor(network, size) if name == _NNUNET else None
