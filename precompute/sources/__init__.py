"""Files become sources: what there is to augment."""
