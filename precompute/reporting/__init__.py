"""The report of a dataset: what it is, whether augmentation did what was asked, whether it can be trusted."""
