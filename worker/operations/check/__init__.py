"""`heroes check`: looks at everything that a worker needs, changes nothing and takes nothing."""
