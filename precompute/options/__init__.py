"""What a user can choose: the options of a build, and the values that options take."""
