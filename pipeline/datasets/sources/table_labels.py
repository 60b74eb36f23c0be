"""The labels in the rows of a table: those of a column, or of a 0/1 column for each class."""

from collections.abc import Collection, Iterable, Sequence

from bottleneck_features.errors import quoted
from bottleneck_features.pipeline.datasets.sources.table_columns import OFF, ON
from bottleneck_features.pipeline.errors import RequestError


def one_hot_labels(
    rows: Iterable[tuple[int, Sequence[str]]], names: Sequence[str], missing: Collection[str], file: str
) -> list[str]:
    """Return the class of each row: the name of the column that is 1; empty where no cell says anything.

    Args:
        rows: the number of each, and its cells of the columns of classes.
        names: of these columns.
        missing: cells that say nothing.
        file: of the rows, for messages.

    Raises:
        RequestError: a cell is neither 0 nor 1, or rows have several 1, or none.
    """
    labels, odd, total = list[str](), list[tuple[int, list[str]]](), 0
    for number, row in rows:
        cells = ["" if cell in missing else cell.lower() for cell in row]
        strange = [i for i, cell in enumerate(cells) if cell not in (*ON, *OFF)]
        if strange:
            raise RequestError(
                f"dataset.label_columns: row {number} of '{file}' has '{row[strange[0]]}' in column '{names[strange[0]]}', and "
                "one-hot columns hold 0 or 1 (or true and false)."
            )
        ones = [name for name, cell in zip(names, cells, strict=True) if cell in ON]
        total += 1
        if len(ones) != 1 and any(cells):
            odd.append((number, ones))
        labels.append(ones[0] if len(ones) == 1 else "")
    if odd:
        number, ones = odd[0]
        said = f"{quoted(ones)} are 1" if ones else "no column is 1"
        raise RequestError(
            f"The one-hot columns {quoted(list(names)[:5])} of '{file}' have several 1, or none, in {len(odd):,} of {total:,} "
            f"rows; in row {number}, the first of them, {said}. An image has one class "
            "here, and several labels an image are not supported: keep the rows with a single 1, add the column that is missing "
            "to dataset.label_columns, or empty the cells of images without a label."
        )
    return labels
