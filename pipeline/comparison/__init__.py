"""Methods on the same images: who trains, who validates, who decides, and by how much one is ahead."""
