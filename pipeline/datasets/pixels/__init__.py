"""From the bytes of an image file to pixels: what is read, what is refused, and why."""
