"""Sources from folders whose boxes, keypoints or masks stand in files of annotations."""
