"""What stands between a failing replica and the caller."""
