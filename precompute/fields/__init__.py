"""Fields: what travels with an image, how it stands in records, its values, and columns of those of many images."""
