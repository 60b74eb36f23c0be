"""What may stand in a result.json, which can come from anyone: types, bounds and what must fit together.

A key that is not named here may be there, so that a later version can add some. The page
docs/reference/result.md is written from the records.
"""

from bottleneck_features.pipeline.result_schema.records import RECORDS, json_schema, missing_keys, require_result
from bottleneck_features.pipeline.result_schema.scored import ScoredResult

__all__ = ["RECORDS", "ScoredResult", "json_schema", "missing_keys", "require_result"]
