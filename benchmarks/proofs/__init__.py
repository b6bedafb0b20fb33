"""Promises that are proved by doing the worst: `make proof-…`."""
