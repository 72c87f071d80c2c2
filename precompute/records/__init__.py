"""Records as bytes: written and read without TensorFlow, OpenCV and Albumentations."""
