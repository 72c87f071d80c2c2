"""Words for people, and text from people: numbers and labels as sentences hold them, files of text, lists of names."""
