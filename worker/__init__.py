"""Applies each command exactly once, in order, announces what happened and loses nothing. Start at pipeline.py."""
