"""How good a method is: splits, the evaluation set, scores, comparisons, calibration, duplicates."""
