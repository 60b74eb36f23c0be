"""Folders of images packed as people pack them: into tar shards, and into Parquet files as Hugging Face writes them."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.experiment_file import load_experiment

CLASS_LABEL = "ClassLabel"
LITE = ("backbone.name=efficientnet-lite0", "backbone.layers=top_activation", "input.size=32,32")


def opened(path: Path | str, home: Path, *overrides: str, source: str) -> Dataset:
    """Open packed images as a data set, or, with the source `folder`, those that were packed."""
    words = (f"dataset.source={source}", f"dataset.path={path}", *LITE, *overrides)
    return open_dataset(load_experiment("natural-images", words), home)


def image_files(root: Path) -> list[Path]:
    """The files below a folder, sorted by their path in it."""
    return sorted(
        (file for file in root.rglob("*") if file.is_file()), key=lambda file: file.relative_to(root).as_posix()
    )


def tar_of(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    """Write an archive of some members, in that order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def tar_of_folder(root: Path, path: Path) -> Path:
    """Write the files below a folder into one archive, under their paths in it."""
    return tar_of(path, [(file.relative_to(root).as_posix(), file.read_bytes()) for file in image_files(root)])


def web_dataset(root: Path, folder: Path, shard_size: int) -> Path:
    """Write `root/<class>/…` as WebDataset shards: `<key>.jpg` and `<key>.cls` one after the other."""
    files, names = image_files(root), sorted({file.parent.name for file in image_files(root)})
    for shard in range(0, len(files), shard_size):
        members = []
        for number, file in enumerate(files[shard : shard + shard_size], shard):
            label = str(names.index(file.parent.name)).encode()
            members += [(f"{number:06d}.cls", label), (f"{number:06d}{file.suffix}", file.read_bytes())]
        tar_of(folder / f"{root.name}-{shard // shard_size:04d}.tar", members)
    return folder


def parquet_of_folder(root: Path, path: Path, row_group_size: int = 100) -> Path:
    """Write `root/<class>/…` as Hugging Face's `datasets` would."""
    files = image_files(root)
    names = sorted({file.parent.name for file in files})
    images = [(file.relative_to(root).as_posix(), file.read_bytes()) for file in files]
    return parquet_of(path, images, [names.index(file.parent.name) for file in files], names, row_group_size)


def parquet_of(
    path: Path, images: Sequence[tuple[str, bytes]], labels: Sequence[int], names: Sequence[str], row_group_size: int
) -> Path:
    """Write images with their paths as Hugging Face's `datasets` would: `image` {bytes, path}, `label` with class names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pictures = pa.array(
        [{"bytes": content, "path": name} for name, content in images],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": CLASS_LABEL}}
    table = pa.table({"image": pictures, "label": pa.array(labels, pa.int64())})
    kept = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(kept), path, row_group_size=row_group_size)
    return path
