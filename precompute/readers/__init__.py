"""Reading for training: NumPy here, TensorFlow in `readers.tf`, on one core; neither Albumentations nor OpenCV."""
