"""Small backbones of KerasHub with random weights, saved as local presets."""

import keras
import keras_hub
import numpy as np

models = keras_hub.models
#: Sizes that all small transformers have.
SMALL = {"num_layers": 2, "num_heads": 2, "hidden_dim": 32}
#: Those of the halves that see texts.
TEXTS = {
    "vocabulary_size": 20,
    "embedding_dim": 32,
    "intermediate_dim": 64,
    "max_sequence_length": 8,
}
#: What the converters of the presets do by default: mean and deviation of ImageNet.
CONVERTER = {
    "scale": [1 / 58.395, 1 / 57.12, 1 / 57.375],
    "offset": [-123.675 / 58.395, -116.28 / 57.12, -103.53 / 57.375],
}


def vit(side=32, **more):
    return models.ViTBackbone(
        image_shape=(side, side, 3), patch_size=8, mlp_dim=64, **SMALL, **more
    )


def deit():
    return models.DeiTBackbone(image_shape=(32, 32, 3), patch_size=8, intermediate_dim=64, **SMALL)


def dinov2(side=28, **more):
    """Its positions were learnt at 56 px."""
    return models.DINOV2Backbone(
        image_shape=(side, side, 3),
        position_embedding_shape=(56, 56, 3),
        patch_size=7,
        intermediate_dim=64,
        **SMALL,
        **more,
    )


def dinov3():
    return models.DINOV3Backbone(
        image_shape=(32, 32, 3), patch_size=8, intermediate_dim=64, **SMALL
    )


def siglip():
    """Of images and texts."""
    tower = models.SigLIPVisionEncoder(
        image_shape=(32, 32, 3), patch_size=8, intermediate_dim=64, **SMALL
    )
    texts = models.SigLIPTextEncoder(**TEXTS, **SMALL)
    return models.SigLIPBackbone(tower, texts)


def clip():
    """Of images and texts; its tower gives tokens."""
    tower = models.CLIPVisionEncoder(
        image_shape=(32, 32, 3), patch_size=8, intermediate_dim=64, **SMALL
    )
    texts = models.CLIPTextEncoder(**TEXTS, **SMALL)
    return models.CLIPBackbone(tower, texts, projection_dim=16)


def mobilenet_v3():
    return models.MobileNetBackbone(
        stackwise_expansion=[[16, 32], [32, 48]],
        stackwise_num_blocks=[2, 2],
        stackwise_num_filters=[[16, 16], [24, 24]],
        stackwise_kernel_size=[[3, 3], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25]],
        stackwise_activation=[["relu", "relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1, 1], [2, 2]],
        output_num_filters=48,
        depthwise_filters=16,
        depthwise_stride=2,
        depthwise_residual=False,
        last_layer_filter=64,
        squeeze_and_excite=0.5,
        input_num_filters=16,
    )


def resnet(**more):
    return models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        **more,
    )


def densenet():
    return models.DenseNetBackbone(stackwise_num_repeats=[1, 2, 1], growth_rate=16)


def vgg():
    return models.VGGBackbone(stackwise_num_repeats=[1, 1], stackwise_num_filters=[16, 32])


def efficientnet():
    return models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[16, 16],
        stackwise_output_filters=[16, 24],
        stackwise_expansion_ratios=[1, 4],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_strides=[1, 2],
        stackwise_block_types=["unfused", "fused"],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
        width_coefficient=1.0,
        depth_coefficient=1.0,
    )


def hgnet():
    """Gives a map of each stage."""
    return models.HGNetV2Backbone(
        depths=[1, 1],
        embedding_size=16,
        hidden_sizes=[16, 32],
        stem_channels=[3, 16, 16],
        hidden_act="relu",
        use_learnable_affine_block=False,
        stackwise_stage_filters=[(16, 16, 16, 1, 1, 3), (16, 16, 32, 1, 1, 3)],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, False],
        image_shape=(32, 32, 3),
    )


def mit():
    """Its export fails in ONNX Runtime."""
    return models.MiTBackbone(
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[4, 2],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        image_shape=(32, 32, 3),
        hidden_dims=[16, 32],
    )


def bert():
    """Of texts alone."""
    return models.BertBackbone(
        vocabulary_size=20, max_sequence_length=8, intermediate_dim=64, **SMALL
    )


#: Those whose export is proven, and a side of images that they take.
CONVERTED = {
    "dinov2": (dinov2, 28),
    "siglip": (siglip, 32),
    "vit": (vit, 32),
    "mobilenet_v3": (mobilenet_v3, 32),
    "dinov2_swiglu": (lambda: dinov2(use_swiglu_ffn=True, num_register_tokens=2), 28),
    "dinov3": (dinov3, 32),
    "deit": (deit, 32),
    "clip": (clip, 32),
    "resnet": (resnet, 32),
    "resnet_v2": (lambda: resnet(use_pre_activation=True), 32),
    "densenet": (densenet, 32),
    "vgg": (vgg, 32),
    "efficientnet": (efficientnet, 32),
    "hgnet": (hgnet, 32),
}


def save_preset(folder, backbone, **converter):
    """Give a backbone weights that let images differ, and save it with its converter."""
    rng = np.random.default_rng(0)
    for variable in backbone.variables:
        shape = tuple(variable.shape)
        if len(shape) > 1:
            deviation = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 2 else shape[0] ** -0.5
            variable.assign(rng.normal(0, deviation, shape))
        elif variable.path.endswith(("bias", "beta", "moving_mean")):
            variable.assign(rng.normal(0, 0.1, shape))
    backbone.save_to_preset(str(folder))
    keras_hub.layers.ImageConverter(**(CONVERTER | converter)).save_to_preset(str(folder))
    keras.backend.clear_session(free_memory=False)
    return folder
