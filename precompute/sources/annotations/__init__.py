"""Sources from folders with files of annotations that hold boxes, keypoints or masks."""
