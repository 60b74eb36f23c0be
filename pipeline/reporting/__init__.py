"""The parts of an experiment's report: what belongs on it, its pictures, and its page."""
