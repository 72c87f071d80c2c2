"""Reports for people: pictures and tables of a dataset, of a planned build, of the time that it takes."""
