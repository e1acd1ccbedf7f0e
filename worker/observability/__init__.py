"""What the worker tells its operator: logs and health."""
