"""PNGs of a training and of predictions.

sheets      images with what was predicted; drawn by Pillow, with `precompute.report.sheet`
charts      curves, scores of classes, numbers over numbers; owns matplotlib
"""
