"""What stands in deploy/ is true: it fits the worker that stands beside it."""
