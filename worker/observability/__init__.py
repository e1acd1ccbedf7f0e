"""What the worker tells its operator: health, figures, logs and traces."""
