"""Tests: `precompute/` and `train/` mirror those packages, `end_to_end/` crosses them; `project/`: pages and rules.

What several of them use is in `helpers/`, a module for each thing that it helps with.
"""
