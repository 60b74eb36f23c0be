"""How good a method is, honestly: splits, the images that decide, scores, comparisons, calibration, duplicates."""
