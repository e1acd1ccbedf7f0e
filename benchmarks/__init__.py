"""Measurements: contestants of one run, on the same services, taking turns; only their ratios mean anything."""
