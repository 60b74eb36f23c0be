"""What the labels of a data set say: which are the same, which are missing, and what kind they are."""
