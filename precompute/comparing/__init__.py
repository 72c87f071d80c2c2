"""`diff`: what differs between two datasets, or two choices of rows of one."""
