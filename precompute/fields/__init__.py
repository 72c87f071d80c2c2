"""Fields: what travels with an image, how records hold it, its values, and columns with the values of many images."""
