"""Measured speed and memory, as ratios against a rival in the same run: `make bench`."""
