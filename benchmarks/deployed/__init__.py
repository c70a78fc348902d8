"""What deployed federations cost, and the sites that stand in for hospitals there."""
