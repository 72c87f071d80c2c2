"""Builds: cells are planned, tasks run by workers, receipts checked, rows listed in the manifest."""
