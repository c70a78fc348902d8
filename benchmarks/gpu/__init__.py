"""`python -m benchmarks.gpu`: what a GPU makes of the model and of its privacy, in one command."""
