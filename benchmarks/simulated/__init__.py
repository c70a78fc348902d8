"""What `benchmarks.simulation` measures with, and what it compares with."""
