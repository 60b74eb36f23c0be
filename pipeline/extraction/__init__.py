"""Stage one: features of every image, once, on one machine or many; its cache and its speed."""
