"""See to it that KerasHub's converters read all weights of a file: what one leaves out changes features in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from safetensors import safe_open

from bottleneck_features.errors import enumerated
from bottleneck_features.models.errors import WeightsMismatch
from bottleneck_features.models.sources.hub import HubNetwork

# what no feature of the image network depends on: classifiers, tokens and masks of pre-training, counters, the text network
UNUSED = re.compile(
    r"(^|\.)(classifier|cls_classifier|distillation_classifier|head|fc|pooler|decoder|lm_head|text_model|text_projection"
    r"|logit_scale|logit_bias|mask_token|position_ids|num_batches_tracked|relative_position_index|attn_mask|periods"
    r"|inv_freq)(\.|$)"
)
PREFIXES = ("vit.", "deit.", "swin.")  # that files of a whole model have, and those of its body alone have not


@contextmanager
def complete_reading(source: HubNetwork) -> Iterator[None]:
    """Let KerasHub find weights with and without a model's prefix, and refuse files of which it leaves something out.

    Args:
        source: whose files are read.

    Raises:
        WeightsMismatch: if there are weights that were not read; names them.
    """
    from keras_hub.src.utils.transformers.safetensor_utils import SafetensorLoader

    get_key, read = SafetensorLoader.get_prefixed_key, set[str]()

    def found_key(loader: Any, key: str, names: Any) -> str:
        bare = next((key.removeprefix(prefix) for prefix in PREFIXES if key.startswith(prefix)), key)
        found = bare if key not in names.keys() and bare in names.keys() else get_key(loader, key, names)  # noqa: SIM118
        read.add(found)
        return str(found)

    with patch.object(SafetensorLoader, "get_prefixed_key", found_key):
        yield
    left = sorted(_stored(source) - read) if read else []
    if missed := [name for name in left if not UNUSED.search(name)]:
        raise WeightsMismatch(
            f"'{source.name}' has weights that KerasHub does not read, so that its features would not be those of the published "
            f"network: {enumerated(missed, 5)}. Export it as ONNX, and give the .onnx file."
        )


def _stored(source: HubNetwork) -> set[str]:
    names: set[str] = set()
    for path in source.weight_files():
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                names.update(file.keys())
    return names
