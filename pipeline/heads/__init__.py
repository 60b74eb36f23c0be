"""Stage two: classifiers of cached features."""
