"""What is known of an image beside its pixels: boxes, keypoints, masks of single objects, colours of classes."""
