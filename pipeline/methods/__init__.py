"""What can be trained: heads and probes on cached features, ConvNets, and the whole network; and what is kept of them."""
