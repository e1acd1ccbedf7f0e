"""Everything that speaks SQL: the inbox, the session for one command, what an error of the database means."""
