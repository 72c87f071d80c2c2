"""Fields: what travels with an image, how it stands in records, and the values of single images."""
