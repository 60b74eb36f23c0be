"""What the folders of a data set say: its splits, its classes, its groups."""
