"""What a report says of the data themselves: what inspect found, and images that repeat across splits."""

from collections.abc import Mapping
from typing import Any

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.method_names import row_title
from bottleneck_features.pipeline.reporting.answer import answering
from bottleneck_features.pipeline.reporting.repeated import pairs_of_result, repeated_pairs
from bottleneck_features.pipeline.tables import interval_text

INSPECT_PAGE = "../inspect/inspect.html"


def data_problems(dataset: Dataset, results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the template asks for in its section of the data.

    Args:
        dataset: the open data set.
        results: result objects by command.
    """
    result = results[answering(results)]
    duplicates = result.get("duplicates")
    without = [
        (row_title(row), f"{own['n']:,}", interval_text(own["accuracy"], *own["interval"]))
        for row in result["methods"]
        if (own := row["without_duplicates"])
    ]
    return {
        "data_problems": "inspect" in results or bool(duplicates and duplicates["images"]),
        "inspect_page": INSPECT_PAGE,
        "duplicates": duplicates,
        "repeats": repeated_pairs(dataset, pairs_of_result(dataset, result)),
        "without": without if duplicates and duplicates["images"] else [],
    }
