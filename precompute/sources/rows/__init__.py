"""Sources from rows of cells: what tables and lists from Python hold."""
