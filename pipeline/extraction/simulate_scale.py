"""How long stage one takes over the number of workers that fail, start again and are not equally fast: a simulation."""

import heapq
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bottleneck_features.pipeline.progress import progress

READY, DONE, DIED = range(3)


@dataclass(frozen=True)
class Assumptions:
    """What the simulation is told.

    Attributes:
        shards: how many there are.
        seconds: that a worker takes for one, on average; drawn log-normally, always > 0.
        deviation: standard deviation of these seconds.
        start: seconds until a new worker is ready: process, framework, data set, compiled backbone.
        hand_out: seconds of the driver for each shard; it hands out one at a time.
        watch: seconds of the driver for each worker, whenever it looks which of them have ended.
        days_between_deaths: of one worker, on average, at random moments.
        straggler_share: of the workers, that are slow all the time.
        slowness: by which factor these are.
    """

    shards: int
    seconds: float
    deviation: float
    start: float
    hand_out: float
    watch: float
    days_between_deaths: float
    straggler_share: float
    slowness: float


@dataclass(frozen=True)
class Outcome:
    """One simulated run.

    Attributes:
        seconds: until the last shard was finished.
        deaths: of workers.
        lost_seconds: of workers, for shards they did not finish.
        driver_share: of the time in which the driver was handing out.
    """

    seconds: float
    deaths: int
    lost_seconds: float
    driver_share: float


def simulate(assumed: Assumptions, workers: int, seed: int) -> Outcome:
    """Run stage one once, as `pipeline/extraction/ray_team.py` does it, on a clock of its own.

    Args:
        assumed: what is known of shards and workers.
        workers: how many there are at a time, ≥ 1; one that died is replaced by one of the same speed.
        seed: of everything that is drawn.

    Returns:
        The `Outcome`.
    """
    random = np.random.default_rng(seed)
    slowness = np.where(random.random(workers) < assumed.straggler_share, assumed.slowness, 1.0)
    sigma = math.sqrt(math.log1p((assumed.deviation / assumed.seconds) ** 2))
    durations = random.lognormal(math.log(assumed.seconds) - sigma**2 / 2, sigma, assumed.shards)
    lifetime = assumed.days_between_deaths * 86_400
    death = assumed.start + random.exponential(lifetime, workers)
    events = [(assumed.start, READY, worker) for worker in range(workers)]
    waiting, unfinished = list(range(assumed.shards)), assumed.shards
    busy: dict[int, tuple[int, float]] = {}
    idle: list[int] = []
    now = lost = busy_driver = 0.0
    deaths = 0
    while unfinished:
        look = 2 * workers * assumed.watch
        now = max(now, events[0][0]) + look
        busy_driver += look
        while events and events[0][0] <= now:
            time, event, worker = heapq.heappop(events)
            if event == DIED:
                shard, begun = busy.pop(worker)
                waiting.append(shard)
                lost, deaths = lost + time - begun, deaths + 1
                death[worker] = now + assumed.start + random.exponential(lifetime)
                heapq.heappush(events, (now + assumed.start, READY, worker))
            else:
                unfinished -= event == DONE
                idle.append(worker)
        while waiting and idle:
            worker, shard = idle.pop(), waiting.pop()
            now += assumed.hand_out
            busy_driver += assumed.hand_out
            end = now + durations[shard] * slowness[worker]
            busy[worker] = (shard, now)
            died = death[worker] < end
            heapq.heappush(events, (max(now, death[worker]), DIED, worker) if died else (end, DONE, worker))
    return Outcome(now, deaths, lost, busy_driver / now)


def simulated_rows(assumed: Assumptions, workers: list[int], seeds: int) -> list[dict[str, Any]]:
    """Return, for each number of workers, the mean outcome over seeds, the range of hours, and hours without any trouble."""
    rows = []
    with progress(total=len(workers) * seeds, unit="run", desc="simulation") as bar:
        for count in workers:
            runs = []
            for seed in range(seeds):
                runs.append(simulate(assumed, count, seed))
                bar.update()
            hours = [run.seconds / 3600 for run in runs]
            rows.append(
                {
                    "workers": count,
                    "hours": float(np.mean(hours)),
                    "range": [min(hours), max(hours)],
                    "ideal_hours": assumed.shards * assumed.seconds / count / 3600,
                    "worker_hours": float(np.mean(hours)) * count,
                    "lost_hours": float(np.mean([run.lost_seconds for run in runs])) / 3600,
                    "deaths": float(np.mean([run.deaths for run in runs])),
                    "driver_share": float(np.mean([run.driver_share for run in runs])),
                }
            )
    return rows
