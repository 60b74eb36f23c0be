"""Connecting to a Ray cluster, or starting one on this machine, and sharing out what it has."""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bottleneck_features.pipeline.errors import PipelineError, RequestError

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
        devices: accelerators a worker; None means one where the cluster has any.
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
            f"Ray could not be started on this machine: {_first_line(error)} Every finished shard is kept: try again, or "
            "without --engine-on ray."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def share_out(nodes: Sequence[Mapping[str, float]], cluster: Cluster) -> tuple[int, int, int]:
    """Share out the processors and accelerators of a cluster fairly.

    Args:
        nodes: Ray's resources (`CPU`, `GPU`) of each node that is alive.
        cluster: what is asked for.

    Returns:
        Workers, accelerators a worker, and threads a worker: the most with which all workers fit.

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
        f"The cluster has no room for --workers {workers}, but for {sum(most)}: with --devices-per-worker {devices}, on "
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
    """Ray itself would try for long, and write pages of what it thinks of it."""
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
        f"--address '{address}': there is no Ray cluster ({_first_line(error)}). Start one by `ray start --head`, "
        "which prints its address, or leave --address out to start one on this machine for this run."
    )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
