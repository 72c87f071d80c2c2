"""Things to look at: pictures and tables."""
