"""How long stage one takes over the number of workers that fail, start again and are not equally fast: a simulation.

python benchmarks/simulate_scale.py --picture docs/pictures/scaling.png     (or make simulate-scale, with options in ARGS)
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from bottleneck_features.pipeline.commandline.output import print_json, print_table
from bottleneck_features.pipeline.plots.style import COLOURS, new_figure, save_figure
from bottleneck_features.pipeline.progress import progress

# Measured on two cores: docs/explanation/scale.md
SECONDS, DEVIATION = 19.0, 3.5
START = 16.0
HAND_OUT, WATCH = 2.5e-3, 1.9e-6
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
    """Run stage one once, as `pipeline/extraction/ray_workers.py` does it, on a clock of its own.

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


def scale_chart(rows: Sequence[Mapping[str, Any]], seeds: int, title: str, path: Path) -> Path:
    """Draw hours over workers, both axes logarithmic, with the line of nothing ever going wrong.

    Args:
        rows: as from `simulated_rows`.
        seeds: how many runs each is the mean of.
        title: of the picture.
        path: of the PNG.

    Returns:
        `path`.
    """
    figure, axes = new_figure((8, 4.8))
    workers, hours = [row["workers"] for row in rows], [row["hours"] for row in rows]
    ideal = [row["ideal_hours"] for row in rows]
    axes.plot(workers, ideal, color="0.45", linestyle="--", label="if nothing failed and all were equally fast")
    axes.plot(workers, hours, color=COLOURS[0], marker="o", label=f"simulated, mean of {seeds} runs")
    for count, value in zip(workers, hours, strict=True):
        axes.annotate(f"{value:,.3g} h", (count, value), xytext=(4, 7), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="hours until the last shard is written")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(which="major", color="0.9")
    axes.legend(frameon=False)
    axes.set_title(title, loc="left", fontsize=10)
    return save_figure(figure, path)


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.option("--images", type=click.IntRange(min=1), default=10**9)
@click.option("--shard-size", type=click.IntRange(min=1), default=1024, help="Images per shard.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=SECONDS, help="A shard, measured.")
@click.option("--deviation", type=click.FloatRange(min=0), default=DEVIATION, help="Its standard deviation, measured.")
@click.option("--start", type=click.FloatRange(min=0), default=START, help="Seconds until a worker is ready, measured.")
@click.option(
    "--hand-out", type=click.FloatRange(min=0), default=HAND_OUT, help="Driver's seconds per shard, measured."
)
@click.option(
    "--watch", type=click.FloatRange(min=0), default=WATCH, help="Driver's seconds per worker at each check, measured."
)
@click.option(
    "--days-between-deaths", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Of a worker, assumed."
)
@click.option("--straggler-share", type=click.FloatRange(0, 1), default=0.05, help="Of the workers, assumed.")
@click.option("--slowness", type=click.FloatRange(min=1), default=3.0, help="Of these, assumed.")
@click.option("--workers", default="10,100,1000,3000,10000", help="Numbers, parted by commas.")
@click.option("--seeds", type=click.IntRange(min=1), default=2, help="Runs of each number.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="PNG to draw.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def main(
    images: int, shard_size: int, workers: str, seeds: int, picture: Path | None, as_json: bool, **known: float
) -> None:
    """Simulate stage one on many workers; what it is told stands below."""
    assumed = Assumptions(-(-images // shard_size), **known)
    try:
        counts = sorted({int(word) for word in workers.split(",")})
        if counts[0] < 1:
            raise ValueError
    except ValueError:
        raise click.UsageError(f"--workers takes whole numbers ≥ 1 parted by commas. Received: '{workers}'") from None
    rows = simulated_rows(assumed, counts, seeds)
    if picture:
        title = f"{images:,} images, {assumed.shards:,} shards of {assumed.seconds:g} s: simulated"
        scale_chart(rows, seeds, title, picture)
    if as_json:
        print_json({"assumed": asdict(assumed), "seeds": seeds, "rows": rows})
        return
    print_table(
        ("workers", "hours", f"range of {seeds}", "without trouble", "worker-hours", "lost", "deaths", "driver busy"),
        [_cells(row) for row in rows],
    )
    click.echo(", ".join(f"{name}={value:,g}" for name, value in asdict(assumed).items()))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["range"]
    numbers = (f"{row['workers']:,}", f"{row['hours']:,.2f}", f"{low:,.2f}–{high:,.2f}", f"{row['ideal_hours']:,.2f}")
    rest = (f"{row['worker_hours']:,.0f}", f"{row['lost_hours']:,.1f} h", f"{row['deaths']:,.0f}")
    return (*numbers, *rest, f"{row['driver_share']:.1%}")


if __name__ == "__main__":
    main()
