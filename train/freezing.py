"""A backbone whose own weights stay as they are for the first epochs, while what comes after it is still random."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["FreezeBackbone", "find_backbone"]


def find_backbone(network: Any) -> Any | None:
    """Return the model inside a model; None if there is not exactly one."""
    inner = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    return inner[0] if len(inner) == 1 else None


class FreezeBackbone(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps a backbone frozen for the first epochs, its batch normalization at the averages that came with it.

    What is frozen follows from the epoch's number, also in a run that goes on. Between epochs nothing is, so that saved
    models do not tell of it. The optimizer has to be built for all weights.

    Args:
        backbone: A model inside the one that is trained.
        num_epochs: For how many it is frozen.
    """

    def __init__(self, backbone: Any, num_epochs: int) -> None:
        super().__init__()
        self._backbone = backbone
        self._num_epochs = num_epochs
        self._was_frozen: bool | None = None  # unknown: the model may have been traced before

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Freeze or not."""
        frozen = epoch < self._num_epochs
        self._backbone.trainable = not frozen
        if frozen != self._was_frozen:
            self.model.make_train_function(force=True)  # Keras looks at what can be trained when it traces a step
            self._was_frozen = frozen

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Thaw, for whoever saves now."""
        self._backbone.trainable = True

    def on_train_end(self, logs: Any = None) -> None:
        """Thaw: the last epoch may have been cut short."""
        self._backbone.trainable = True
