"""What the documentation's figures come from: each module is a command with `--help`."""
