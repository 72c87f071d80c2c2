"""Findings: what a report's figures say should be mended, the worst first, each with the step that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from precompute.pages.blocks import Finding, Severity
from precompute.reporting.finding_checks import CHECKS, Found
from precompute.reporting.result import Report

__all__ = ["KINDS", "FindingKind", "find", "findings_table"]

MAX_EXAMPLES = 10


@dataclass(frozen=True)
class FindingKind:
    """A kind of finding.

    Attributes:
        name: Stable name.
        severity: ``"error"``, ``"warning"`` or ``"note"``.
        section: Section of the report that has the figures.
        when: When it is found, in words.
        why: Why it matters.
        mend: What mends it; ``{out}`` stands for the dataset's folder.
    """

    name: str
    severity: Severity
    section: str
    when: str
    why: str
    mend: str

    def finding(self, found: Found, out: str) -> Finding:
        """Return the finding for what a check has found."""
        return Finding(
            name=self.name,
            severity=self.severity,
            title=found.title,
            why=self.why,
            mend=self.mend.replace("{out}", out),
            examples=tuple(found.examples[:MAX_EXAMPLES]),
            section=self.section,
        )


BUILD = "run the same `precompute build` again"
REPLACE = "`precompute build … --replace`"
# In this order they are told, the worst first.
KINDS: tuple[FindingKind, ...] = (
    FindingKind(
        "splits-share-content",
        "error",
        "trust",
        "image files of two splits have the same content",
        "A model is tested on what it was trained on, so that scores flatter.",
        f"Take one of each pair away, or give both one group (`--group-by`), then {REPLACE}.",
    ),
    FindingKind(
        "groups-torn-apart",
        "error",
        "trust",
        "sources of one group stand in several splits",
        "Images of one patient or scene are known from training, so that scores flatter.",
        f"Put each group into one split where folders or lists name splits, then {REPLACE}.",
    ),
    FindingKind(
        "damaged-shards",
        "error",
        "facts",
        "shards are missing, cut or altered",
        "Readers end with an error in the middle of a training.",
        f"`precompute verify {{out}}` names all of them; {BUILD} with `--check full`, which writes them again.",
    ),
    FindingKind(
        "class-without-training",
        "error",
        "trust",
        "a class has sources in validation or test, and none in train",
        "No model can learn it, and its scores are 0.",
        f"Split by fractions (`--validation-split`), which spreads each class, or move sources; then {REPLACE}.",
    ),
    FindingKind(
        "transforms-tied",
        "error",
        "transforms",
        "two transforms that should be applied apart from each other are applied together, or never together",
        "Augmentation makes far fewer combinations than it seems to.",
        "Look whether a transform of your own draws from a generator of its own; take its `self.py_random`.",
    ),
    FindingKind(
        "near-duplicates-across-splits",
        "warning",
        "trust",
        "sources of two splits look alike",
        "Copies that were scaled, compressed, mirrored or made brighter are known from training: scores flatter.",
        f"Look at the pairs; take one of each away, or give both one group (`--group-by`), then {REPLACE}.",
    ),
    FindingKind(
        "labels-disagree",
        "warning",
        "trust",
        "the same image stands there twice with other answers",
        "No model can learn both.",
        f"Mend the labels, then {REPLACE}.",
    ),
    FindingKind(
        "validation-augmented",
        "warning",
        "transforms",
        "a transform is applied to some records of validation or test, and not to others",
        "Scores depend on draws, and on other images than the model will meet.",
        f'Give these splits a pipeline without chance: `{{"train": …, "validation": …}}`, then {REPLACE}.',
    ),
    FindingKind(
        "transform-never-applied",
        "warning",
        "transforms",
        "a transform was applied to no record, though by its p it should be to some",
        "The augmentation that was asked for does not take place.",
        "Look at its p, at the compositions around it and at its own conditions; `precompute preview` draws variants.",
    ),
    FindingKind(
        "transform-rate",
        "warning",
        "transforms",
        "a transform was applied more or less often than chance allows by its p",
        "Augmentation is stronger or weaker than was asked for.",
        "Look at its p, at the compositions around it and at its own conditions; `precompute preview` draws variants.",
    ),
    FindingKind(
        "not-made-again",
        "warning",
        "transforms",
        "records do not come out again from their sources",
        "What this report says of their transforms may not be what happened; other versions may have written them.",
        "`precompute verify {out} --sources 20` says how they differ.",
    ),
    FindingKind(
        "variants-alike",
        "warning",
        "transforms",
        "more than a tenth of the records repeat another variant of their source",
        "They take disk and time, and teach nothing new.",
        "Add transforms that draw from many values, or build fewer `--variants`.",
    ),
    FindingKind(
        "variants-unchanged",
        "warning",
        "transforms",
        "more than half of the augmented records are their source without augmentation",
        "Augmentation does less than it seems to.",
        "Raise the p of transforms, or add some.",
    ),
    FindingKind(
        "images-shifted",
        "warning",
        "effects",
        "half of the records of train are darker, brighter, duller, sharper … than nearly all of their sources",
        "A model learns from images of a kind that it will not meet.",
        "Make the ranges of transforms of colour and of blur smaller, or even on both sides; look at the gallery.",
    ),
    FindingKind(
        "class-vanishes",
        "warning",
        "effects",
        "more than half of the records lack a class of a mask that their source has",
        "What a model should learn of this class is cut off or overlaid.",
        "Use weaker crops, or `CropNonEmptyMaskIfExists`; look at the gallery.",
    ),
    FindingKind(
        "objects-lost",
        "warning",
        "effects",
        "more than a fifth of the objects of a class are lost",
        "Objects that show in part or not at all are not labelled any more.",
        "Use weaker crops and shifts, `BBoxSafeRandomCrop`, or a lower `--min-visibility`.",
    ),
    FindingKind(
        "images-emptied",
        "warning",
        "effects",
        "more than a tenth of the records have no object, though their source has some",
        "A model sees many images without anything to find.",
        "Use weaker crops and shifts, or `BBoxSafeRandomCrop`.",
    ),
    FindingKind(
        "last-build-refused",
        "warning",
        "trust",
        "the last build ended because of bad sources",
        "What it should have written is not there.",
        f"Mend the sources, then {BUILD}; `--skip-bad N` leaves them out.",
    ),
    FindingKind(
        "no-validation",
        "warning",
        "facts",
        "there is no validation split",
        "Nothing tells how well a model does on new images.",
        f"{REPLACE} with `--validation-split 0.2`.",
    ),
    FindingKind(
        "borders-filled",
        "note",
        "effects",
        "more than a tenth of the pixels of records do not come from their source",
        "A model sees many borders that no real image has.",
        "Set `border_mode=cv2.BORDER_REFLECT_101` where that suits masks and boxes, or use smaller shifts and turns.",
    ),
    FindingKind(
        "near-duplicates-in-train",
        "note",
        "trust",
        "sources of train look alike",
        "Such images count twice; a random split of them would flatter.",
        "Look at the pairs; take one of each away (`--exclude`), or group them (`--group-by`).",
    ),
    FindingKind(
        "sources-left-out",
        "note",
        "trust",
        "sources are left out of all rows",
        "A model never sees them.",
        f"Mend them, then {BUILD} with `--retry-bad`.",
    ),
    FindingKind(
        "classes-unbalanced",
        "note",
        "trust",
        "train has more than twenty times as many sources of one class as of another",
        "A model may never say the rare class.",
        "`--balance` or `--class-copies` for classes of images; else weigh them in training.",
    ),
    FindingKind(
        "class-without-validation",
        "note",
        "trust",
        "a class of train has no sources in validation",
        "Nothing tells how well a model knows them.",
        f"Move some of their sources there, or take a larger `--validation-split`; then {REPLACE}.",
    ),
    FindingKind(
        "other-versions",
        "note",
        "facts",
        "other versions of packages are installed than those that wrote the records",
        "More rows would have other pixels, and a build refuses them.",
        f"Install the versions of the table, or write all rows anew with {REPLACE}.",
    ),
    FindingKind(
        "old-generations",
        "note",
        "cost",
        "generations that are not listed any more take disk",
        "Nobody can read them but those who began before.",
        f"End their readers, then {BUILD}: it deletes what no one holds.",
    ),
    FindingKind(
        "does-not-pay",
        "note",
        "cost",
        "reading a record takes as long as making it",
        "Records cost disk and save no time.",
        "Augment while training, or store images that decode quicker: `--image-format raw`.",
    ),
)


def find(report: Report, out: str) -> tuple[Finding, ...]:
    """Return all findings, the worst first.

    Args:
        report: The report, still without findings.
        out: Folder of the dataset, for commands.
    """
    return tuple(kind.finding(one, out) for kind in KINDS for one in CHECKS[kind.name](report))


def findings_table() -> Iterator[str]:
    """Yield the lines of the guide's table of findings, in Markdown."""
    yield "| finding | severity | when | what mends it |"
    yield "|---|---|---|---|"
    for kind in KINDS:
        mend = kind.mend.replace("{out}", "OUT")
        yield f"| `{kind.name}` | {kind.severity} | {kind.when} | {mend} |"
