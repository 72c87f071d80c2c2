"""What datasets go through in a comparison: each is built; one encoding of each kind lives a whole life."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from compare_commands import Ended, run_call, run_program
from compare_data import Drawn
from compare_kinds import KINDS
from compare_objects import OBJECT_KINDS
from compare_observed import Observations

ALL_KINDS = {**KINDS, **OBJECT_KINDS}
ENCODINGS = ("jpeg", "png", "raw")
# Kinds that differ in what records hold, or come from Python: one encoding of each lives a whole life.
LIVED = (
    *("folders", "deep", "multilabel", "columns", "sources", "masks", "wide-masks", "images", "further-images"),
    "several-targets",
    *("coco", "box-lists", "coco-keypoints", "keypoint-table", "instance-files"),
)
COMMON: dict[str, Any] = {"jobs": 1, "backend": "sequential", "seed": 7, "include_original": True}
ONLY_BUILDS = ("jobs", "backend", "include_original", "class_copies", "balance", "no_mirroring")  # not of a preview
IN_THIS_PROCESS = ("--backend", "sequential", "--jobs", 1)
ADOPTED = "adopted"  # the folder of a dataset that the old tree has begun
KEPT = "kept"  # the dataset that is read, as it was when it had grown


def lived_encoding(kind: str) -> str:
    """Return the encoding whose dataset goes through everything: each encoding's turn comes."""
    encoding = ENCODINGS[list(ALL_KINDS).index(kind) % len(ENCODINGS)]
    return "png" if kind == "alpha" else encoding


def write_kind(kind: str, folder: Path, observed: Observations) -> None:
    """Draw the sources of a kind, and make all of its datasets in the folder."""
    drawn = ALL_KINDS[kind](folder)
    for encoding in ENCODINGS:
        made = Made(f"{kind}/{encoding}", drawn, folder / encoding, observed, image_format=encoding)
        if encoding == lived_encoding(kind):
            (live if kind in LIVED else live_shortly)(made)
        else:
            made.build("built", variants=2)
            made.keep()


def adopt_kind(kind: str, folder: Path, written: Path, observed: Observations) -> None:
    """Go on with the dataset of a kind that the old tree has written.

    Args:
        kind: Of the sources.
        folder: Where both trees draw this kind: `write_kind` was there.
        written: The same folder of the old tree.
        observed: Where to note.
    """
    encoding = lived_encoding(kind)
    made = Made(
        f"{kind}/{encoding} adopted,", ALL_KINDS[kind](folder), folder / ADOPTED, observed, image_format=encoding
    )
    shutil.copytree(written / encoding / KEPT, made.out)
    here, there = str(folder).encode(), str(written).encode()
    for path in made.out.rglob("*.json*"):
        path.write_bytes(path.read_bytes().replace(there, here))
    made.keep()
    made.run("verified", "verify", "--sources", 4, files=False)
    made.run("inspected", "inspect", files=False)
    made.build("grown", variants=4)
    made.run("regenerated", "regenerate", "--seed", 9, *IN_THIS_PROCESS)
    made.build("with a source tried again", variants=1, seed=10, retry_bad=True)


class Made:
    """A dataset that is made and changed, each step noted.

    Args:
        name: Of kind and encoding.
        drawn: Its sources.
        folder: Of the dataset and what is written beside it.
        observed: Where to note.
        **options: Of all builds.
    """

    def __init__(self, name: str, drawn: Drawn, folder: Path, observed: Observations, **options: Any) -> None:
        self._name, self._drawn, self._observed = name, drawn, observed
        self._options = {**COMMON, **drawn.options, **options}
        self.folder, self.out = folder, folder / "data"
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def images(self) -> list[Path]:
        """Files of its images."""
        return self._drawn.images

    def build(self, step: str, *, files: bool = True, **options: Any) -> None:
        """Build, and note all files of the dataset."""
        options = {**self._options, **options}
        source, make_given = self._drawn.source, self._drawn.make_given
        if source is not None:
            ended = run_program("precompute", ["build", source, self.out, *words_of(options)])
        else:
            assert make_given is not None

            def call() -> Any:
                import precompute

                given = make_given()
                return precompute.build(given.pop("source", None), self.out, **given, **options)

            ended = run_call(call)
        self._note(step, ended, files=files)

    def run(self, step: str, command: str, *words: Any, files: bool = True) -> None:
        """Run another command on the dataset, and note all files."""
        self._note(step, run_program("precompute", [command, self.out, *words]), files=files)

    def rotate(self, step: str, **options: Any) -> None:
        """Have new rows take the place of old ones, while a reader reads a row whenever they wait for one."""

        def call() -> Any:
            import precompute

            def wait() -> None:
                read.append(precompute.read(self.out, epoch=len(read)))
                next(read[-1])
                read[:-1] = [None] * (len(read) - 1)  # lets go of the row before

            read: list[Any] = []
            return precompute.follow(self.out, jobs=1, backend="sequential", wait=wait, **options)

        self._note(step, run_call(call), files=True)

    def look(self, step: str, command: str, *words: Any) -> None:
        """Run a command on the sources, where there are any to name."""
        if self._drawn.source is not None:
            options = {name: value for name, value in self._options.items() if name not in ONLY_BUILDS}
            words = (command, self._drawn.source, *words, *words_of(options))
            self._note(step, run_program("precompute", words), files=False)

    def note_file(self, step: str, path: Path) -> None:
        """Note a file that a command has written beside the dataset."""
        self._observed.add(f"{self._name} {step}: {path.name}", path.read_bytes() if path.exists() else b"")

    def note_folder(self, step: str, folder: Path) -> None:
        """Note what a command has written beside the dataset."""
        self._observed.add_folder(f"{self._name} {step}", folder)

    def keep(self) -> None:
        """Keep the dataset as it is, to be read later."""
        if self.out.exists():
            shutil.copytree(self.out, self.folder / KEPT)

    def _note(self, step: str, ended: Ended, *, files: bool) -> None:
        self._observed.add_said(f"{self._name} {step}", *ended)
        if files:
            self._observed.add_folder(f"{self._name} {step}", self.out)


def words_of(options: dict[str, Any]) -> list[str]:
    """Return options as words of the command line."""
    words = []
    for name, value in options.items():
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += map(str, value if isinstance(value, list) else [value])
    return words


def live(made: Made) -> None:
    """Let a dataset begin with a source that is broken, grow, be damaged, change its rows, and be replaced."""
    _begin_with_a_broken_source(made)
    made.build("grown", variants=3)
    made.build("grown by another seed", variants=2, seed=8)
    made.keep()
    _damage(made)
    made.run("damaged", "verify", files=False)
    made.build("repaired", variants=3, check="full")
    made.run("verified", "verify", "--sources", 4, files=False)
    made.run("followed", "follow", "--keep", 7, "--rows", 2, *IN_THIS_PROCESS)
    made.rotate("rotated", keep=4, rows=3)
    made.run("regenerated", "regenerate", "--seed", 9, *IN_THIS_PROCESS)
    made.run("dropped", "drop", "--rows", _last_row(made))
    _look_at(made)
    made.build("replaced", variants=2, max_source_size=30, replace=True)


def live_shortly(made: Made) -> None:
    """Let a dataset grow from the listing of its sources, as the layout has told them."""
    made.build("built", variants=1)
    made.build("grown", variants=3)
    made.keep()
    made.run("verified", "verify", "--sources", 4, files=False)
    made.run("regenerated", "regenerate", "--seed", 9, *IN_THIS_PROCESS)
    made.look("previewed", "preview", "--output", made.folder / "preview.png", "--num-sources", 3, "--num-variants", 2)
    made.note_file("previewed", made.folder / "preview.png")
    made.build("replaced", variants=1, max_source_size=30, replace=True)


def _begin_with_a_broken_source(made: Made) -> None:
    """Have a source that cannot be read: refused, then skipped, then fixed and tried again."""
    path = made.images[1]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    made.build("with a broken source", variants=1)
    made.build("without the broken source", variants=1, skip_bad=1)
    path.write_bytes(whole)
    made.build("with the fixed source", variants=1, skip_bad=1, retry_bad=True)


def _shards(made: Made) -> list[Path]:
    return sorted((made.out / "data").rglob("*.tfrecord-*"))


def _damage(made: Made) -> None:
    """Take a shard away, cut another one short, and flip a bit in a third."""
    shards = _shards(made)
    if len(shards) < 3:  # the build was refused
        return
    shards[0].unlink()
    shards[1].write_bytes(shards[1].read_bytes()[:-1])
    content = bytearray(shards[2].read_bytes())
    content[len(content) // 2] ^= 1
    shards[2].write_bytes(content)


def _last_row(made: Made) -> str:
    """Return the number of the newest row of train."""
    rows = [path.name.partition("-train_r")[2][:4] for path in _shards(made) if "-train_r" in path.name]
    return str(int(max(rows, default="0")))


def _look_at(made: Made) -> None:
    """Inspect, export and preview."""
    sheet, preview = made.folder / "sheet.png", made.folder / "preview.png"
    made.run("inspected", "inspect", "--output", sheet, files=False)
    made.note_file("inspected", sheet)
    made.run("indexed", "dali-index")
    for format in ("files", "coco", "yolo", "voc"):
        step, folder = f"exported as {format}", made.folder / f"as-{format}"
        made.run(step, "export", "--output", folder, "--format", format, "--split", "all", files=False)
        made.note_folder(step, folder)
    made.look("previewed", "preview", "--output", preview, "--num-sources", 3, "--num-variants", 2)
    made.note_file("previewed", preview)
    made.build("planned", files=False, variants=4, dry_run=True)
