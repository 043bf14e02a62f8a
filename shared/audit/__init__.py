"""The audit log: leaves, the tree over them, signed checkpoints, exports that prove themselves."""
