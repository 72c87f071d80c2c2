"""What people look at: pictures and tables of a dataset, of a build to come, of the time that it takes."""
