"""Files of Keras that would fill the memory, or lead to other files, are refused before anything of them is unpacked."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from bottleneck_features import models
from bottleneck_features.models.keras_files import ALWAYS_READ, load_bounded, require_bounded

HUGE = 1 << 30  # numbers, 4 GiB of float32
MEASURED = """
import sys
from bottleneck_features import models
from bottleneck_features.pipeline.machine import peak_memory_mib
sound, *files = sys.argv[1:]
models.load_backbone(sound, "random", (48, 48))
before = peak_memory_mib()
for file in files:
    try:
        models.load_backbone(*([file] if file.endswith(".keras") else [sound, file]), size=(48, 48))
    except models.UnsafeFile as error:
        print(f"{error.exit_code} {error}")
print(peak_memory_mib() - before)
"""


def _hdf5(path: Path, fill: Callable[[h5py.Group], object]) -> Path:
    """A weights file of the legacy format whose one layer `fill` fills."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        fill(file.create_group("conv"))
        file["conv"].attrs["weight_names"] = [b"kernel"]
    return path


def _compressed(group: h5py.Group) -> None:
    kernel = group.create_dataset("kernel", (HUGE,), "f4", chunks=(1 << 24,), compression="gzip")
    kernel[: 1 << 24] = 0  # 64 MiB of zeros take 65 kB


def _without_values(group: h5py.Group) -> None:
    group.create_dataset("kernel", (HUGE,), "f4")


def _long_chunk(group: h5py.Group) -> None:
    group.create_dataset("kernel", (4,), "f4", chunks=(1 << 28,), maxshape=(None,))


def _linked_often(group: h5py.Group) -> None:
    group["kernel"] = np.zeros(1 << 20, "f4")
    for number in range(100):
        group[f"kernel {number}"] = group["kernel"]


def _external_link(group: h5py.Group) -> None:
    group["kernel"] = h5py.ExternalLink("/etc/other.h5", "kernel")


def _soft_link(group: h5py.Group) -> None:
    group["kernel"] = h5py.SoftLink("/elsewhere")


def _external_values(group: h5py.Group) -> None:
    group.create_dataset("kernel", (10,), "u1", external=[("/etc/hostname", 0, 10)])


def _virtual(group: h5py.Group) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "kernel", (4,))
    group.create_virtual_dataset("kernel", layout)


def _texts(group: h5py.Group) -> None:
    group.create_dataset("kernel", data=["x"] * 10, dtype=h5py.string_dtype())


HOSTILE = {
    "compressed": (_compressed, r"conv/kernel' is compressed"),
    "without-values": (_without_values, r"would take 4,294,967,\d{3} bytes"),
    "long-chunk": (_long_chunk, r"would take 1,073,741,8\d\d bytes"),
    "linked-often": (_linked_often, r"at most 67,108,864 are read"),
    "external-link": (_external_link, r"conv/kernel' leads elsewhere by a link"),
    "soft-link": (_soft_link, r"conv/kernel' leads elsewhere by a link"),
    "external-values": (_external_values, r"conv/kernel' lie in another file"),
    "virtual": (_virtual, r"conv/kernel' lie in another file"),
    "texts": (_texts, r"conv/kernel' holds no numbers"),
}


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_weights_file_is_refused_with_its_number(tmp_path, kind, suffix):
    fill, says = HOSTILE[kind]
    with pytest.raises(models.UnsafeFile, match=says) as caught:
        require_bounded(_hdf5(tmp_path / f"bad{suffix}", fill))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_one_array_that_a_layer_lists_very_often_is_refused(tmp_path):
    path = _hdf5(tmp_path / "bad.h5", lambda group: group.create_dataset("kernel", data=np.zeros(1 << 20, "f4")))
    with h5py.File(path, "a") as file:
        file["conv"].attrs["weight_names"] = [b"kernel"] * 17
    with pytest.raises(models.UnsafeFile, match=r"what '/conv' lists would take 71,30\d,\d{3} bytes or more"):
        require_bounded(path)


def _packed(path: Path, changed: dict[str, bytes], source: Path) -> Path:
    """A `.keras` file with other members, compressed."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name in {*archive.namelist(), *changed}:
            out.writestr(name, changed.get(name) or archive.read(name))
    return path


def _wide(source: Path) -> bytes:
    """The configuration of a model whose last convolution has as many filters as no machine can hold."""
    with zipfile.ZipFile(source) as archive:
        content = json.loads(archive.read("config.json"))
    (last,) = [layer for layer in content["config"]["layers"] if layer["config"]["name"] == "conv3"]
    last["config"]["filters"] = 30_000_000
    last.pop("build_config", None)
    return json.dumps(content).encode()


def test_a_hostile_model_file_is_refused_with_its_number(tmp_path, model_file):
    zeros = _packed(tmp_path / "zeros.keras", {"assets/x": bytes(100 << 20)}, model_file)
    nested = tmp_path / "nested.h5"
    _hdf5(nested, _without_values)
    members = {
        "assets": (zeros, r"it would unpack to 104,\d{3},\d{3} bytes"),
        "weights": (
            _packed(tmp_path / "weights.keras", {"model.weights.h5": nested.read_bytes()}, model_file),
            r"would take 4,294,967,\d{3} bytes",
        ),
        "npz": (_packed(tmp_path / "npz.keras", {"model.weights.npz": b"x"}, model_file), r"an archive inside"),
        "wide": (
            _packed(tmp_path / "wide.keras", {"config.json": _wide(model_file)}, model_file),
            r"layer 'conv3' makes its weights 17,280,\d{3},\d{3} bytes",
        ),
    }
    for path, says in members.values():
        with pytest.raises(models.UnsafeFile, match=says) as caught:
            models.load_backbone(str(path), size=(48, 48))
        assert "\n" not in str(caught.value)


def test_a_file_of_two_kinds_is_looked_at_as_both(tmp_path, model_file):
    path = _hdf5(tmp_path / "bad.h5", _without_values)
    with path.open("ab") as file:
        file.write(model_file.read_bytes())
    assert zipfile.is_zipfile(path)
    with pytest.raises(models.UnsafeFile, match=r"4,294,967,\d{3}"):
        require_bounded(path)


def test_a_list_of_weights_files_is_no_weights_file(tmp_path):
    (tmp_path / "x.weights.json").write_text("{}")
    with pytest.raises(models.UnsafeFile, match="names other files"):
        models.load_backbone("mobilenetv2", str(tmp_path / "x.weights.json"), (32, 32))


def test_a_model_that_was_packed_again_is_loaded_and_keras_is_as_before(tmp_path, model_file):
    import keras

    before = keras.Layer.add_weight
    path = _packed(tmp_path / "packed.keras", {}, model_file)
    assert require_bounded(path) == ALWAYS_READ
    ours, theirs = load_bounded(path, compile=False), load_bounded(model_file, compile=False)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert keras.Layer.add_weight is before


def test_refusing_takes_no_memory(tmp_path, model_file):
    files = [_hdf5(tmp_path / f"{kind}.h5", fill) for kind, (fill, _) in HOSTILE.items()]
    files += [
        _packed(tmp_path / "zeros.keras", {"assets/x": bytes(100 << 20)}, model_file),
        _packed(tmp_path / "weights.keras", {"model.weights.h5": files[1].read_bytes()}, model_file),
        _packed(tmp_path / "wide.keras", {"config.json": _wide(model_file)}, model_file),
    ]
    words = map(str, (model_file, *files))
    run = subprocess.run([sys.executable, "-c", MEASURED, *words], capture_output=True, text=True, check=True)
    *refused, peak = run.stdout.splitlines()
    assert len(refused) == len(files)
    assert all(line.startswith("2 ") for line in refused)
    assert float(peak) < 150
