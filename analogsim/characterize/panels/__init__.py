"""The panels of a page: each is one function, `Lab` -> `Panel` or `Absent`."""
