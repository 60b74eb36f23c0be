"""Where a report's figures come from: features, settings, versions and machines."""

from collections.abc import Mapping
from typing import Any

from bottleneck_features.features import Features
from bottleneck_features.pipeline.experiment_file import flat
from bottleneck_features.pipeline.reporting.sources import Sources
from bottleneck_features.plain import visible


def provenance(
    cache: Features, sources: Sources, experiment: Mapping[str, Any]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what a reader needs to trust or repeat the figures, as titled rows of text."""
    results = sources.results
    rates = {result["images_per_second"] for result in results.values() if result.get("images_per_second")}
    features = [
        ("cache key", cache.key),
        ("images in the cache", ", ".join(f"{split} {len(own):,}" for split, own in cache.items())),
        ("layers", ", ".join(cache.layers)),
        ("extraction", ", ".join(f"{rate:,.1f} images/s" for rate in sorted(rates)) or "rate not known"),
    ]
    stages = [(name, _stage(result)) for name, result in results.items()]
    settings = [(key, text) for key, value in flat(experiment) if (text := _text(value)) not in ("", "[]")]
    return [
        ("Features", visible_rows(features)),
        ("Runs", visible_rows(stages)),
        ("Versions", _agreed({name: result["versions"] for name, result in results.items()})),
        ("Machine", _agreed({name: result["hardware"] for name, result in results.items()})),
        ("Settings", visible_rows(settings)),
    ]


def visible_rows(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return rows of text with what cannot be seen written out."""
    return [(visible(name), visible(value)) for name, value in rows]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _stage(result: Mapping[str, Any]) -> str:
    key = result["cache_key"][:8] or "no features"
    return f"{sum(result['seconds'].values()):,.1f} s, at most {result['peak_memory_mib']:,.0f} MiB; cache key {key}"


def _agreed(tables: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return each entry once where all commands agree on it, else with the commands of each value."""
    rows = []
    for key in dict.fromkeys(key for table in tables.values() for key in table):
        values: dict[str, list[str]] = {}
        for command, table in tables.items():
            values.setdefault(str(table.get(key, "unknown")), []).append(command)
        entries = [value if len(values) == 1 else f"{value} ({', '.join(own)})" for value, own in values.items()]
        rows.append((key, "; ".join(entries)))
    return rows
