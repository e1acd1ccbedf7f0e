"""What an operator does by hand: prepare, check, send."""
