"""What travels on the wire between heroes-worker and everybody else; needs pydantic and nothing of ours."""
