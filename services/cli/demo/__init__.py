"""The demo: the main job on real input, and the proof that it worked."""
