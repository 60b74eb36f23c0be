"""What stands beside an accuracy in results: figures that see unequal classes, with their intervals."""
