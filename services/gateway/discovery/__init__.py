"""Where an upstream's replicas come from: written down, from DNS, or from a file that is watched."""
