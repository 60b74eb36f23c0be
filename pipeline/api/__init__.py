"""What is called from Python: functions of the stages and their results, the extractor, and trained models."""
