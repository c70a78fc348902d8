"""Synthetic hospitals and honest comparisons, on one machine: research code, never deployed."""
