"""The contents and the problems of a data set."""
