"""The same work as others would do it, each by the way that its own documentation shows."""
