"""What a run found out, for eyes and for programs: tables, charts, a page and a JSON file."""
