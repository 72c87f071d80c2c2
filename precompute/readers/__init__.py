"""Reading for training: NumPy here, TensorFlow in `readers.tf`; neither Albumentations nor OpenCV."""
