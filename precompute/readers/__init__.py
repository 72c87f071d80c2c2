"""Reading for training: with NumPy here, with TensorFlow in `readers.tf`; without Albumentations and OpenCV."""
