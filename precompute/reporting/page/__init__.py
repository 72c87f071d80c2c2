"""A report as a page of HTML: a module a section, each makes blocks of the section's data."""
