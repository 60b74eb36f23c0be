"""Labels that a table puts right after the data were read, and images that it takes out."""
