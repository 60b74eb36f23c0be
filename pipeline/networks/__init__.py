"""Networks that are trained on pixels: fine-tuning, and from scratch."""
