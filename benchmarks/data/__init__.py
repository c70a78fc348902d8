"""`python -m benchmarks.data`: how fast a hospital's files become tensors, beside plain loops."""
