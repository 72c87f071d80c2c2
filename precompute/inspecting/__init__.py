"""Reports for people: what a dataset holds, what a planned build would write, the time that it takes."""
