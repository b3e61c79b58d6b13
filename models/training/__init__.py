"""Training of the networks on synthetic people."""
