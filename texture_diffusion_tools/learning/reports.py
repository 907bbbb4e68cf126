"""What is kept and shown of a model while it is trained, and of what it has learned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..running.files import Results
from ..writing import pictures
from . import checkpoints


class Reports:
    """Checkpoints, loss curve and previews of a Model that is trained.

    results: a files.Results, of the first process; checkpoint: a path; drawer(photo, trainer, c)
    returns the function that draws its tiles, see pictures.draw_preview.
    """

    def __init__(
        self, model: Any, results: Results, checkpoint: Path, drawer: Callable[..., Any]
    ) -> None:
        self.model, self.results, self.checkpoint, self.drawer = model, results, checkpoint, drawer

    def save(self) -> None:
        """Write the checkpoint."""
        trainer = self.model.trainer
        if trainer.group.rank == 0:
            checkpoints.save(self.checkpoint, {**self.model.made_of(), **trainer.state()})

    def report(self, epoch: int) -> None:
        """Save and show how the training stands after an epoch."""
        trainer, c = self.model.trainer, self.model.c
        if epoch % c.SAVE_EVERY == 0 and trainer.step < trainer.end and not trainer.in_a_row:
            self.save()
        if trainer.group.rank:
            return

        if epoch % c.PREVIEW_EVERY == 0:
            for photo, view, its in self.model.views():
                path = self.results.path(pictures.name_of("preview", its.TEXTURE))
                pictures.draw_preview(path, photo, view, self.drawer(photo, view, its))

        pictures.save_curve(self.results.path("loss.csv"), trainer.curve, c.BATCH_SIZE)
        pictures.draw_loss(self.results.path("loss.png"), trainer.curve, c.BATCH_SIZE)

    def show_prepared(self) -> None:
        """Draw the pictures that show how photos were straightened, or evenly lit."""
        photos = self.model.photos
        for photo in photos:
            if (before := photo.exemplar.prepared) is not None:
                name = pictures.name_of("prepared", photo.name if len(photos) > 1 else None)
                path = self.results.path(name)
                pictures.draw_prepared(path, before.pixels, photo.own_pixels(), before.corners)

    def show_learned(self) -> None:
        """Draw the pictures that show what was learned."""
        for photo, trainer, c in self.model.views():
            draw = self.drawer(photo, trainer, c)
            for name in ("train_predictions", "val_predictions"):
                path = self.results.path(pictures.name_of(name, c.TEXTURE))
                pictures.draw_predictions(path, photo, trainer, draw, name == "val_predictions")

            path = self.results.path(pictures.name_of("diffusion_steps", c.TEXTURE))
            pictures.draw_steps(path, photo, trainer, draw)
