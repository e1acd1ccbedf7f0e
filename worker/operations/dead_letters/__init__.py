"""Dead letters as an operator handles them: look at them, replay them, drop them."""
