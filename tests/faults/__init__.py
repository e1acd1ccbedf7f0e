"""Random faults against real workers, and a checker that judges what was seen from outside."""
