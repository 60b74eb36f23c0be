"""A network in the layout of Hugging Face, timm or KerasHub: a folder, a preset, or a name on a hub."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bottleneck_features.models.downloads import file_digest
from bottleneck_features.models.errors import BackboneFileError, InvalidSetting, WeightsUnavailable
from bottleneck_features.models.preprocessing import Preprocessing, Protocol
from bottleneck_features.models.sources.hub_configs import MAPS_WITH_NORM, Family, family_of
from bottleneck_features.models.sources.hub_downloads import downloaded, is_remote, own_name
from bottleneck_features.models.sources.hub_preprocessing import published
from bottleneck_features.models.sources.source import WeightsIdentity

CONFIG, CARD = "config.json", "README.md"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model.weights.h5", "model.weights.json")
_LICENCE = re.compile(r"^license(_name)?:(?:[ \t]*|[ \t]*\n[ \t]*-[ \t]*)[\"']?([\w.+-]*\w)", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
_NOT_COMMERCIAL = re.compile(r"(^|-)nc(-|$)|fair-noncommercial|non-?commercial", re.IGNORECASE)


@dataclass(frozen=True)
class HubNetwork:
    """A network with its `config.json`; see `Source`."""

    name: str
    comes_whole = True

    @property
    def label(self) -> str:
        """The name without the hub's; of a folder its last part."""
        return own_name(self.name) if is_remote(self.name) else Path(self.name).expanduser().absolute().name

    @cached_property
    def folder(self) -> Path:
        """The folder with its files, which are downloaded first where the name is one of a hub's.

        Raises:
            WeightsUnavailable: if they are neither here nor to be had.
            BackboneFileError: if it has no `config.json`.
        """
        folder = downloaded(self.name) if is_remote(self.name) else Path(self.name).expanduser()
        if not (folder / CONFIG).is_file():
            raise BackboneFileError(
                f"'{folder}' has no {CONFIG}: a network's folder is one of Hugging Face's or timm's ({CONFIG}, "
                f"model.safetensors), or a KerasHub preset's ({CONFIG}, model.weights.h5)."
            )
        return folder

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The content of its `config.json`."""
        return read(self.folder / CONFIG)

    @property
    def stated_protocol(self) -> Protocol:
        """The same: its files state it."""
        return self.protocol

    @property
    def trainable(self) -> str:
        """Why it cannot be trained on; empty for all but Swin."""
        reason = (
            f"'{self.name}' cannot be trained on, nor exported: KerasHub 0.32 cannot load a Swin that Keras has saved."
        )
        return reason if self.family is MAPS_WITH_NORM else ""

    @property
    def family(self) -> Family:
        """How it is read."""
        return family_of(self.config, f"'{self.name}'")

    @property
    def protocol(self) -> Protocol:
        """What its configuration says of photographs."""
        return published(self.folder, self.config).protocol

    def own_weights(self) -> WeightsIdentity:
        """Return the identity of its files: of all weights, and of the configuration that says how they are put together."""
        files = self.weight_files()
        digests = {path.name: file_digest(path) for path in (self.folder / CONFIG, *files)}
        digest = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
        return WeightsIdentity("imagenet" if is_remote(self.name) else "file", digest, self.folder, self.notice)

    @property
    def notice(self) -> str:
        """Its name with its licence, as its card or its configuration states it."""
        licence = licence_of(self.folder, self.config)
        if not licence:
            return f"{self.label} (its files state no licence)"
        limits = ": not for commercial use" if _NOT_COMMERCIAL.search(licence) else ""
        return f"{self.label} (licence {licence}{limits})"

    def weight_files(self) -> tuple[Path, ...]:
        """Return all files that hold its weights.

        Raises:
            WeightsUnavailable: naming what is missing.
        """
        found = [self.folder / name for name in WEIGHTS if (self.folder / name).is_file()]
        if not found:
            pickled = [path.name for path in self.folder.glob("*.bin")] + [
                path.name for path in self.folder.glob("*.pt*")
            ]
            remedy = (
                f" {pickled[0]} may hold code and is not read: transformers' AutoModel.from_pretrained(…).save_pretrained(…) "
                "writes model.safetensors."
                if pickled
                else ""
            )
            raise WeightsUnavailable(f"'{self.folder}' has no weights (model.safetensors or model.weights.h5).{remedy}")
        first = found[0]
        if first.suffix != ".json":
            return (first,)
        listed = read(first).get("weight_map", {}).values()
        names = sorted({name for one in listed for name in (one if isinstance(one, list) else [one])})
        missing = [name for name in names if not (self.folder / name).is_file()]
        if missing or not names:
            raise WeightsUnavailable(
                f"'{self.folder}' lacks weights that {first.name} names: {', '.join(missing) or 'none'}."
            )
        return (first, *(self.folder / name for name in names))

    def architecture(self) -> str:
        """Return the digest of its configuration."""
        return file_digest(self.folder / CONFIG)

    def file_weights(self, path: Path) -> WeightsIdentity:
        """Refuse: its weights lie in its folder."""
        raise InvalidSetting(
            f"'{self.name}' has its weights in its own folder: backbone.weights must be 'imagenet' (these) or 'random'. "
            f"Received: weights='{path}'."
        )

    def preprocessing_text(self, asked: Preprocessing | None) -> str:
        """Return what was asked for, else what its configuration says."""
        return self.preprocessing(asked).text

    def preprocessing(self, asked: Preprocessing | None) -> Preprocessing:
        """Return what was asked for, else what its configuration says.

        Raises:
            InvalidSetting: if neither says it.
        """
        found = asked or published(self.folder, self.config).preprocessing
        if found is None:
            raise InvalidSetting(
                f"'{self.name}' does not say which numbers it takes (no preprocessor_config.json, pretrained_cfg or "
                "image_converter.json): set backbone.preprocessing to 'torch', 'tf', 'caffe', 'none', or {mean = …, std = …}."
            )
        return found

    def last_layer(self, poolings: Sequence[str]) -> str:
        """Return what its publisher uses: the last norm of tokens, the pooler, or the last map."""
        return self.family.last_layer(poolings)

    def reading(self, layer: str, pooling: str) -> str:
        """Return what `auto` means for a layer."""
        return self.family.reading(layer, pooling)


def licence_of(folder: Path, config: Mapping[str, Any]) -> str:
    """Return the licence that a network's card or configuration states; empty where neither does."""
    card = folder / CARD
    if card.is_file() and (front := _FRONT_MATTER.search(card.read_text(encoding="utf-8", errors="replace"))):
        found = {bool(name): value for name, value in _LICENCE.findall(front.group(1))}
        if found:
            return found.get(True) or found[False]
    stated = config.get("license") or dict(config.get("pretrained_cfg") or {}).get("license")
    return str(stated) if stated else ""


def read(path: Path) -> dict[str, Any]:
    """Read a JSON file of a network's folder.

    Raises:
        BackboneFileError: if it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BackboneFileError(f"'{path}' cannot be read ({error}). Fetch it again.") from error
    if not isinstance(content, dict):
        raise BackboneFileError(f"'{path}' is no table of settings. Fetch it again.")
    return content
