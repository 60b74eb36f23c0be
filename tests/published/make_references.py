"""Computes tests/data/references/ by the reference implementations, transformers and timm.

Run by hand, in an environment of its own (5 GB on disk with the CUDA libraries that torch of the plain package index loads):

    python3 -m venv /tmp/torch-env
    /tmp/torch-env/bin/pip install torch torchvision timm transformers safetensors numpy
    PYTHONPATH=tests /tmp/torch-env/bin/python tests/published/make_references.py [--check] [KIND …]

With `--check` nothing is written: what is stored is compared, and the exit code is 1 where it differs.
"""

import argparse
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors
import timm
import torch
import transformers

from published import KINDS, centred_error, input_images, normalised, read_reference, write_folder
from published.references import Reference, write_reference
from published.weights import digest

Outputs = dict[str, torch.Tensor]
CLOSE = 1e-5  # of the same computation on another machine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all unless named")
    parser.add_argument("--check", action="store_true", help="compare with what is stored, write nothing")
    asked = parser.parse_args()
    torch.set_grad_enabled(False)
    transformers.utils.logging.disable_progress_bar()
    differing = 0
    for kind in asked.kinds or KINDS:
        reference = computed(kind)
        if asked.check:
            worst = largest_difference(reference, read_reference(kind))
            differing += worst > CLOSE
            print(f"{kind}: differs by {worst:.1e}")
        else:
            path = write_reference(kind, reference)
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return min(differing, 1)


def computed(kind: str) -> Reference:
    published = KINDS[kind]
    outputs, images = {}, {}
    for size in published.sizes:
        network = loaded(kind)  # anew: a Swin of transformers that saw a small image shifts no windows from then on
        pixels = input_images(size)
        images[size] = digest({"images": pixels})
        batch = torch.from_numpy(normalised(pixels, published.normalisation)).permute(0, 3, 1, 2)
        read = READINGS[kind.split("-")[0]]
        outputs[size] = {name: tensor.numpy().astype(np.float32) for name, tensor in read(network, batch).items()}
    versions = {module.__name__: module.__version__ for module in (torch, timm, transformers, np, safetensors)}
    return Reference(versions | {"python": platform.python_version()}, digest(published.weights()), images, outputs)


def loaded(kind: str) -> torch.nn.Module:
    """The network as its own library reads its folder: no weight missing, left over, or of another shape."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_folder(kind, Path(temporary))
        if kind == "resnet18":
            network = timm.create_model(f"local-dir:{folder}", pretrained=True)
            assert not network.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors")).missing_keys
            return network.eval()
        config = KINDS[kind].config
        name = config.get("architectures", [TOWERS.get(kind)])[0]
        network, found = getattr(transformers, name).from_pretrained(
            folder, output_loading_info=True, dtype=torch.float32, attn_implementation="eager"
        )
    wrong = {key: list(value) for key, value in found.items() if value}
    assert not wrong, f"{kind}: the reference implementation reads the folder differently: {wrong}"
    return network.eval()


TOWERS = {"siglip": "SiglipVisionModel", "clip": "CLIPVisionModelWithProjection"}


@contextmanager
def watched(module: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    """Keep what a module gives in the calls inside the block."""
    kept: list[torch.Tensor] = []

    def keep(_module: object, _inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        kept.append(output[0] if isinstance(output, tuple) else output)

    handle = module.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


def blocks_of(network: torch.nn.Module) -> torch.nn.ModuleList:
    """The list of transformer blocks, whatever it is called in this version."""
    return next(module for module in network.modules() if isinstance(module, torch.nn.ModuleList))


def token_outputs(tokens: torch.Tensor, special: int, block: torch.Tensor) -> Outputs:
    """Readings of tokens (n, special + h·w, d) after the final norm."""
    patches = tokens[:, special:]
    side = int(patches.shape[1] ** 0.5)
    found = {"map": patches.reshape(len(tokens), side, side, -1), "patches": patches.mean(dim=1), "block2": block}
    return found | ({"cls": tokens[:, 0]} if special else {})


def read_interpolating(network: torch.nn.Module, batch: torch.Tensor, special: int) -> Outputs:
    base = network.base_model
    with watched(blocks_of(base)[1]) as kept:
        output = base(batch, interpolate_pos_encoding=True)
    found = token_outputs(output.last_hidden_state, special, kept[0])
    pooled = output.pooler_output
    return found if pooled is None else found | {"pooler": pooled}


def read_vit(network: torch.nn.Module, batch: torch.Tensor) -> Outputs:
    return read_interpolating(network, batch, special=1)


def read_deit(network: torch.nn.Module, batch: torch.Tensor) -> Outputs:
    return read_interpolating(network, batch, special=2)


def read_siglip(network: torch.nn.Module, batch: torch.Tensor) -> Outputs:
    return read_interpolating(network, batch, special=0)


def read_dino(network: torch.nn.Module, batch: torch.Tensor) -> Outputs:
    registers = getattr(network.config, "num_register_tokens", 0)
    with watched(blocks_of(network)[1]) as kept:
        output = network(batch)
    found = token_outputs(output.last_hidden_state, 1 + registers, kept[0])
    return found | {"pooler": output.pooler_output}


def read_clip(network: torch.nn.Module, batch: torch.Tensor) -> Outputs:
    """CLIP's own output has no final norm on the patch tokens; KerasHub's tower has, and so has this reading."""
    tower = network.vision_model
    with watched(blocks_of(tower)[1]) as kept:
        output = network(batch, interpolate_pos_encoding=True)
    tokens = tower.post_layernorm(output.last_hidden_state)
    return token_outputs(tokens, 1, kept[0]) | {"projected": output.image_embeds}


def read_swin(network: torch.nn.Module, batch: torch.Tensor) -> Outputs:
    """`stage1`: tokens after the first stage, merged two by two; not for the largest images: the file stays small."""
    output = network.base_model(batch, output_hidden_states=True)
    tokens = output.last_hidden_state
    side = int(tokens.shape[1] ** 0.5)
    grid = tokens.reshape(len(tokens), side, side, -1)
    found = {"map": grid, "patches": tokens.mean(dim=1), "pooler": output.pooler_output}
    return found | ({"stage1": output.hidden_states[1]} if batch.shape[-1] < 64 else {})


def read_resnet(network: torch.nn.Module, batch: torch.Tensor) -> Outputs:
    """`stage3` only for the smaller images: the file stays small."""
    with watched(network.layer3) as kept:
        last = network.forward_features(batch)
    found = {"map": last.permute(0, 2, 3, 1), "pooler": network.forward_head(last, pre_logits=True)}
    return found | ({"stage3": kept[0].permute(0, 2, 3, 1)} if batch.shape[-1] == 64 else {})


READINGS = {
    "vit": read_vit,
    "deit": read_deit,
    "dinov2": read_dino,
    "dinov3": read_dino,
    "swin": read_swin,
    "resnet18": read_resnet,
    "siglip": read_siglip,
    "clip": read_clip,
}


def largest_difference(computed: Reference, stored: Reference) -> float:
    """The largest centred error; infinite where weights, images or the outputs' names differ."""
    if (computed.weights, computed.images) != (stored.weights, stored.images):
        return float("inf")
    names = {size: set(named) for size, named in stored.outputs.items()}
    if names != {size: set(named) for size, named in computed.outputs.items()}:
        return float("inf")
    return max(
        centred_error(array, stored.outputs[size][name])
        for size, named in computed.outputs.items()
        for name, array in named.items()
    )


if __name__ == "__main__":
    sys.exit(main())
