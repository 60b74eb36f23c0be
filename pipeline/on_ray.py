"""Stage one on a Ray cluster: each task is one part of the cache, extracted as `features --shard` does it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import features
from pipeline.errors import PipelineError, RequestError
from pipeline.experiment import Experiment
from pipeline.extract import extract_features
from pipeline.results import Result, write_result

RETRIES = 20  # of a part whose worker died; each goes on after the last finished shard


def extract_on_ray(
    experiment: Experiment, home: Path, address: str = "", workers: int = 0, wait_seconds: float = 0.0
) -> Result:
    """Extract what is missing of an experiment's features with the workers of a Ray cluster.

    Args:
        experiment: the experiment.
        home: the artifacts folder, which all nodes see under this path.
        address: of the cluster, such as `auto` or `ray://head:10001`; "" starts one on this machine.
        workers: tasks at a time, ≥ 1; 0 means one for each node, as one worker uses all cores of its machine.
        wait_seconds: how long to wait for another run that holds the cache.

    Returns:
        The `Result` of the run that completed the cache; `images` counts those of all workers.

    Raises:
        RequestError: Ray is not installed, or there is no cluster at the address.
        PipelineError: a worker died again and again.
        As `extract_features`.
    """
    ray = _ray()
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="error", include_dashboard=False)
    except ConnectionError as error:
        raise RequestError(
            f"--address '{address}': there is no Ray cluster. Start one by `ray start --head`."
        ) from error
    try:
        done = _parts(ray, experiment, home.resolve(), workers or len(ray.nodes()), wait_seconds)
    finally:
        ray.shutdown()
    whole = extract_features(experiment, home, wait_seconds)
    images = whole.details["images"] + sum(part["images"] for part in done)
    result = replace(whole, details={**whole.details, "images": images})
    write_result(result)
    return result


def _parts(ray: Any, experiment: Experiment, home: Path, workers: int, wait_seconds: float) -> list[dict[str, Any]]:
    task = ray.remote(max_retries=RETRIES, num_cpus=1, scheduling_strategy="SPREAD")(_part)
    waiting = [
        task.remote(experiment, home, wait_seconds, features.Part(number, workers)) for number in range(1, workers + 1)
    ]
    try:
        return list(ray.get(waiting))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise PipelineError(
            f"Ray gave up on a part after {RETRIES} retries: {str(error).splitlines()[0]} "
            "Every finished shard is kept: type the same command to go on."
        ) from error


def _part(experiment: Experiment, home: Path, wait_seconds: float, part: features.Part) -> dict[str, Any]:
    return extract_features(experiment, home, wait_seconds, part).as_json()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise RequestError("--on ray needs Ray: pip install 'bottleneck-features[ray]'") from None
    return ray
