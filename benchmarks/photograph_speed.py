"""`inspect` and then `features` of 240 photographs of 12 megapixels, against decoding each once and the forward passes, in turn.

python benchmarks/photograph_speed.py BACKBONE LAYER     (such as …/resnet18_pqf.keras conv5_block2_out)
"""

import io
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from PIL import Image
from skimage import data

from bottleneck_features import models
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.pixels.decoding import DRAFT_GAP, decoding_threads
from bottleneck_features.pipeline.experiment import BackboneSettings, Experiment, InputSettings
from bottleneck_features.pipeline.machine import hardware
from bottleneck_features.pipeline.stages.features import extract_features
from bottleneck_features.pipeline.stages.inspect import inspect

WIDTH, HEIGHT, QUALITY = 4000, 3000, 90
GRAIN = 2.0  # standard deviation of the noise that real sensors have, and enlarged pictures do not
SIZE, BATCH = (224, 224), 32
OF_IMAGES = ("open", "describe", "repeats", "shortcuts", "pictures", "extract")  # phases that grow with the images


@click.command(help=__doc__)
@click.argument("backbone")
@click.argument("layer")
@click.option("--photographs", default=240, show_default=True)
@click.option("--grain", default=GRAIN, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(backbone: str, layer: str, photographs: int, grain: float, rounds: int) -> None:
    """Print the seconds of each round, and the medians of the ratios."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        megabytes = _write_photographs(home / "pictures", photographs, grain)
        print(f"{hardware()}; {megabytes / photographs:.2f} MB a photograph", flush=True)
        experiment = Experiment(
            "photographs", DatasetSettings("folder", str(home / "pictures"), test_fraction=0.0),
            BackboneSettings(backbone, (layer,)), input=InputSettings(size=SIZE),
        )  # fmt: skip
        extractor = models.build_extractor(
            models.load_backbone(backbone, size=SIZE), [layer], input_shape=SIZE, batch_size=BATCH
        )
        files = sorted((home / "pictures").rglob("*.jpg"))
        ratios = []
        for number in range(-1, rounds):  # the first one warms up
            decoding, pixels = _timed(lambda: _decoded_once(files))
            passes, _ = _timed(lambda pixels=pixels: _passes(extractor, pixels))
            commands, phases = _timed(lambda number=number: _commands(experiment, home / f"home {number}"))
            if number >= 0:
                ratios.append(
                    [
                        sum(phases.values()) / (decoding.wall + passes.wall),
                        commands.processor / (decoding.processor + passes.processor),
                    ]
                )
                said = ", ".join(f"{name} {seconds:.2f}" for name, seconds in phases.items())
                print(
                    f"decoding {decoding.wall:.2f} s, passes {passes.wall:.2f} s; {said} (all {commands.wall:.2f} s)",
                    flush=True,
                )
        wall, processor = np.median(ratios, axis=0)
        print(
            f"{extractor.engine} {extractor.precision}: {wall:.2f} times decoding once and the passes; in processor time, with "
            f"all that does not grow with the images, {processor:.2f}"
        )


class _Seconds(NamedTuple):
    wall: float
    processor: float


def _timed(work: Callable[[], Any]) -> tuple[_Seconds, Any]:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return _Seconds(time.perf_counter() - wall, time.process_time() - processor), result


def _write_photographs(folder: Path, photographs: int, grain: float) -> float:
    """Write regions of real photographs, enlarged, each another one; return their megabytes."""
    sources = [Image.fromarray(picture) for picture in (data.chelsea(), data.coffee(), data.astronaut(), data.rocket())]
    random, total = np.random.default_rng(0), 0
    for number in range(photographs):
        source = sources[number % len(sources)]
        width = int(random.integers(source.width // 3, source.width // 2))
        height = width * HEIGHT // WIDTH
        left, top = int(random.integers(0, source.width - width)), int(random.integers(0, source.height - height))
        region = source.crop((left, top, left + width, top + height)).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        noise = random.standard_normal((HEIGHT, WIDTH, 1), np.float32) * np.float32(grain)
        picture = np.clip(np.asarray(region) + noise, 0, 255).astype(np.uint8)
        path = folder / f"class-{number % 2}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, quality=QUALITY)
        total += path.stat().st_size
    return total / 1e6


def _decoded_once(files: list[Path]) -> np.ndarray:
    """Read, decode and resize each photograph once, with Pillow alone on all cores."""
    height, width = SIZE

    def decoded(path: Path) -> np.ndarray:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.draft("RGB", (DRAFT_GAP * width, DRAFT_GAP * height))
            return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))

    with ThreadPoolExecutor(decoding_threads()) as pool:
        return np.stack(list(pool.map(decoded, files)))


def _passes(extractor: models.Extractor, pixels: np.ndarray) -> None:
    for _ in extractor.map(pixels[i : i + BATCH] for i in range(0, len(pixels), BATCH)):
        pass


def _commands(experiment: Experiment, home: Path) -> dict[str, float]:
    """Run both commands in a new home; return the seconds of their phases that grow with the images."""
    phases = dict.fromkeys(OF_IMAGES, 0.0)
    for result in (inspect(experiment, home), extract_features(experiment, home)):
        for name in OF_IMAGES:
            phases[name] += result.seconds.get(name, 0.0)
    return phases


if __name__ == "__main__":
    main()
