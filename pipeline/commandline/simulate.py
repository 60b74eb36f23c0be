"""`make simulate-scale`: the simulation of stage one on many workers, as a command of its own."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bottleneck_features.pipeline.commandline.output import print_json, print_table
from bottleneck_features.pipeline.extraction.simulate_scale import Assumptions, simulated_rows

# Measured on two cores: docs/scaling.md
SECONDS, DEVIATION = 19.0, 3.5
START = 16.0
HAND_OUT, WATCH = 2.5e-3, 1.9e-6


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.option("--images", type=click.IntRange(min=1), default=10**9)
@click.option("--shard-size", type=click.IntRange(min=1), default=1024, help="Images a shard.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=SECONDS, help="A shard, measured.")
@click.option("--deviation", type=click.FloatRange(min=0), default=DEVIATION, help="Its standard deviation, measured.")
@click.option("--start", type=click.FloatRange(min=0), default=START, help="Seconds until a worker is ready, measured.")
@click.option(
    "--hand-out", type=click.FloatRange(min=0), default=HAND_OUT, help="Driver's seconds per shard, measured."
)
@click.option(
    "--watch", type=click.FloatRange(min=0), default=WATCH, help="Driver's seconds per shard and worker, measured."
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
        from bottleneck_features.pipeline.extraction.plots_scale import scale_chart

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
