"""Which options of `train fit` stand under which title in its help; one that is not named here stands with `--run`."""

from __future__ import annotations

__all__ = ["FIT_GROUPS"]

FIT_GROUPS = {
    "model": ("model", "weights", "freeze_epochs", "base_channels"),
    "learning": (
        "epochs",
        "batch_size",
        "optimizer",
        "learning_rate",
        "weight_decay",
        "schedule",
        "warm_up",
        "plateau_patience",
        "plateau_factor",
        "early_stopping",
        "seed",
    ),
    "images and targets": (
        "fresh",
        "clean_epochs",
        "mixup",
        "cutmix",
        "label_smoothing",
        "sample_weights",
        "class_weights",
        "ignore_class",
        "allow_leak",
        "lease_dir",
    ),
    "machine": ("devices", "precision", "jit", "cache", "deterministic", "checkpoint_every"),
}
