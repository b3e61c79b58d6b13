"""What the network is compared with: linear magnifiers, and classical measurements of the pulse."""
