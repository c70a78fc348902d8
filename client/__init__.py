"""What runs inside a hospital: its files, its training, its privacy ledger."""
