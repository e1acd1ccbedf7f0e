"""What the tests on real services have in common; nothing here knows how the worker does its work."""
