"""What will be made, as pure data: splits and blocks."""
