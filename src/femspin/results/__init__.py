"""What a run leaves behind: numbers, tables, fields and pictures."""
