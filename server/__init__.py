"""What the coordinator runs: rounds, aggregation, run folders, evaluation and the report."""
