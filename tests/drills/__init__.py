"""Trouble as an operator meets it at night, on real services, with what they see and what mends it."""
