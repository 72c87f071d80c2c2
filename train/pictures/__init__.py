"""PNGs of a training and of predictions.

sheets      images with what was predicted; drawn by Pillow, with `precompute.pictures.sheet`
charts      curves, scores of classes, numbers over numbers; owns matplotlib
"""
