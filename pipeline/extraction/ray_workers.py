"""A pool of Ray workers: it hands out shards, and replaces workers that die."""

import os
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bottleneck_features import features
from bottleneck_features.errors import first_line
from bottleneck_features.pipeline.errors import PipelineError, RequestError

RETRIES = 5  # of one shard, or of starting a worker without success in between


class WorkerPool:
    """Workers that each prepare themselves and then extract one shard at a time.

    Ray's own restarts are not used: the shard of a dead actor would wait for that actor to come back (for ever, if its node
    is gone), while other workers are idle.

    Args:
        ray: the connected `ray` module.
        start: makes a worker, an actor with a method `extract(shard)`.
        prepare: calls the first task of a worker; returns Ray's reference to its answer.
        size: how many workers.

    Attributes:
        answers: what workers have answered to `prepare`.
        deaths: how many workers have died.
    """

    def __init__(self, ray: Any, start: Callable[[], Any], prepare: Callable[[Any], Any], size: int) -> None:
        self._ray, self._start, self._prepare = ray, start, prepare
        self.answers: list[Any] = []
        self.deaths = 0
        self._failures: Counter[features.Shard | None] = Counter()
        self._tasks: dict[Any, tuple[Any, features.Shard | None]] = {}
        self._ended: list[Any] = []
        self._idle: list[Any] = []
        for _ in range(size):
            self._start_worker()

    def first_answer(self) -> Any:
        """Wait until one worker is ready, and return its answer to `prepare`."""
        while not self.answers:
            self._next()
        return self.answers[0]

    def extract_all(
        self, shards: Sequence[features.Shard], is_finished: Callable[[features.Shard], bool]
    ) -> Iterator[tuple[features.Shard, Any]]:
        """Have shards extracted, each by a free worker.

        Args:
            shards: what is to be done, in the order in which it is handed out.
            is_finished: whether a shard is on disk although the worker that had it died.

        Yields:
            A shard that is on disk, and what its worker answered; None if the worker died between the two.

        Raises:
            PipelineError: `RETRIES` workers have died with the same shard, or at their start.
            Whatever a worker raises.
        """
        waiting = deque(shards)
        while waiting or any(shard for _, shard in self._tasks.values()):
            while waiting and self._idle:
                worker, shard = self._idle.pop(), waiting.popleft()
                self._tasks[worker.extract.remote(shard)] = (worker, shard)
            done, answer, died = self._next()
            if done and died and not is_finished(done):
                waiting.appendleft(done)
            elif done:
                yield done, answer

    def _start_worker(self) -> None:
        worker = self._start()
        self._tasks[self._prepare(worker)] = (worker, None)

    def _next(self) -> tuple[features.Shard | None, Any, bool]:
        """Wait for any task: its shard (None for a preparation), its answer, and whether its worker died."""
        if not self._ended:  # looking at all tasks takes long where there are thousands: take whatever has ended
            self._ray.wait(list(self._tasks))
            self._ended, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        reference = self._ended.pop()
        worker, shard = self._tasks.pop(reference)
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            self._replace(worker, shard, error)
            return shard, None, True
        self._failures.pop(shard, None)
        self._idle.append(worker)
        if shard is None:
            self.answers.append(answer)
        return shard, answer, False

    def _replace(self, worker: Any, shard: features.Shard | None, error: Exception) -> None:
        self._ray.kill(worker)  # it may only be out of reach
        if getattr(error, "actor_init_failed", False):
            last_line = str(error).strip().rpartition("\n")[2].strip() or type(error).__name__
            raise PipelineError(
                f"A worker could not be started ({last_line}). Install the version of bottleneck-features that runs here, "
                "with its extra `ray`, on every node."
            )
        self.deaths += 1
        self._failures[shard] += 1
        if self._failures[shard] >= RETRIES:
            at = f"with shard {shard.file}" if shard else "before they were ready"
            raise PipelineError(
                f"{RETRIES} workers died {at}. Ray's message for the last one: {first_line(error)} "
                "Every finished shard is kept: the same command continues. If workers run out of memory, use fewer of them "
                "(--workers) or a lower compute.batch_size."
            )
        self._start_worker()


OBJECT_STORE_BYTES = 100 << 20  # nothing large passes through it; by default Ray takes 30 % of the memory
CONNECT_SECONDS = 10
ENVIRONMENT = {  # which Ray reads when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # workers without accelerators see none
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # it tells of dead workers on stdout, where --json is all there may be
}


@dataclass(frozen=True)
class Cluster:
    """What is asked of Ray.

    Attributes:
        address: `HOST:PORT` or `ray://HOST:PORT` of a cluster, or `auto` for the one of this machine; "" starts one.
        workers: how many; 0 means one for each accelerator, or for each node where there are none.
        devices: accelerators per worker; None means one where the cluster has any.
    """

    address: str = ""
    workers: int = 0
    devices: int | None = None


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Give the `ray` module, connected; on leaving, a cluster that was started here is stopped.

    Raises:
        RequestError: Ray is not installed, or there is no cluster at the address.
        PipelineError: a cluster could not be started here.
    """
    ray = _ray()
    where = {"address": address} if address else {"address": "local", "object_store_memory": OBJECT_STORE_BYTES}
    quiet = {"log_to_driver": False, "logging_level": "error", "include_dashboard": False}
    if address:
        _require_listening(address)
        del quiet["include_dashboard"]
    try:
        ray.init(**where, **quiet)
    except Exception as error:  # Ray has no class of its own for this
        ray.shutdown()
        if address:
            raise _no_cluster(address, error) from error
        raise PipelineError(
            f"Ray could not be started on this machine: {first_line(error)} Every finished shard is kept: try again, or "
            "without --engine-on ray."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def allocate_workers(nodes: Sequence[Mapping[str, float]], cluster: Cluster) -> tuple[int, int, int]:
    """Share out the processors and accelerators of a cluster fairly.

    Args:
        nodes: Ray's resources (`CPU`, `GPU`) of each node that is alive.
        cluster: what is asked for.

    Returns:
        Workers, accelerators per worker, and threads per worker: the most with which all workers fit.

    Raises:
        RequestError: they do not fit even with one thread each.
    """
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    devices = min(1, sum(gpus)) if cluster.devices is None else cluster.devices
    most = [cpu if not devices else min(cpu, gpu // devices) for cpu, gpu in zip(cpus, gpus, strict=True)]
    workers = cluster.workers or (sum(most) if devices else sum(cpu > 0 for cpu in cpus)) or 1
    for cores in range(max(cpus, default=0), 0, -1):
        if sum(min(cpu // cores, room) for cpu, room in zip(cpus, most, strict=True)) >= workers:
            return workers, devices, cores
    raise RequestError(
        f"The cluster has no room for --workers {workers}, only for {sum(most)}, with --devices-per-worker {devices}: it has "
        f"{len(nodes)} nodes with {sum(cpus)} processors and {sum(gpus)} accelerators in all. Ask for fewer of either."
    )


def _ray() -> Any:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise RequestError("--engine-on ray needs Ray: pip install 'bottleneck-features[ray]'") from None
    return ray


def _require_listening(address: str) -> None:
    """Check the address first: Ray itself would try for a long time and print long messages."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise RequestError(f"--address is HOST:PORT, ray://HOST:PORT or auto. Received: '{address}'")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> RequestError:
    return RequestError(
        f"--address '{address}': there is no Ray cluster ({first_line(error)}). Start one with `ray start --head`, "
        "which prints its address, or leave --address out to start one on this machine for this run."
    )
