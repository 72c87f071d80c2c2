"""A report as a page: what each section shows of its data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import precompute
from precompute.errors import UsageError
from precompute.pages import html
from precompute.pages.blocks import (
    Charts,
    Code,
    Facts,
    Folded,
    Gallery,
    Heat,
    Note,
    Page,
    Pictures,
    Section,
    Share,
    Table,
)
from precompute.pages.charts import draw_bars
from precompute.pages.html import render_page
from precompute.reporting.page import transforms
from precompute.reporting.page.effects import effects_section
from precompute.reporting.page.gallery import GRADES, gallery_section
from precompute.reporting.page.render import report_page, write_page
from precompute.reporting.page.transforms import transforms_section
from precompute.reporting.page.trust import trust_section
from precompute.reporting.result import Report
from precompute.reporting.transforms import Parameter, TransformPair, splits_without_chance
from tests.helpers.pages import HOSTILE
from tests.helpers.reports import draw_noise, empty_report, full_report, make_sample


def blocks(section: Section, kind: type[Any]) -> list[Any]:
    """Return the section's blocks of a kind, folded ones too."""

    def unfolded(of: Any) -> Iterator[Any]:
        for block in of:
            yield block
            yield from unfolded(block.blocks) if isinstance(block, Folded) else ()

    return [block for block in unfolded(section.blocks) if isinstance(block, kind)]


def titled(section: Section, title: str) -> Any:
    [block] = [block for block in section.blocks if getattr(block, "title", None) == title]
    return block


@pytest.fixture(scope="module")
def page() -> Page:
    return report_page(full_report())


def section_of(page: Page, name: str) -> Section:
    [section] = [section for section in page.sections if section.id == name]
    return section


def test_findings_come_first_and_lead_to_their_sections(page: Page) -> None:
    assert page.findings is not None
    assert [finding.severity for finding in page.findings] == ["error", "note"]
    assert {finding.section for finding in page.findings} <= {section.id for section in page.sections}
    text = render_page(page).decode()
    assert text.index('id="findings"') < text.index('id="facts"')
    assert "<code>precompute build … --replace</code>" in text
    assert page.notes == full_report().notes


def test_each_section_says_what_it_means(page: Page) -> None:
    names = ["facts", "gallery", "transforms", "effects", "trust", "cost"]
    assert [section.id for section in page.sections] == names
    assert all(section.meaning for section in page.sections)


@pytest.mark.parametrize("report", [full_report(), empty_report()], ids=["full", "empty"])
def test_every_page_can_be_drawn_and_nothing_of_it_is_taken_for_html(report: Report) -> None:
    text = render_page(report_page(report)).decode()
    assert "<script>document.title" not in text and "<img src=https" not in text
    assert text.count("<script>") == 1


# What is it


def test_facts_name_versions_readers_generations_and_the_way_to_make_it_again(page: Page) -> None:
    section = section_of(page, "facts")
    [first, *_] = blocks(section, Facts)
    items = dict(first.items)
    assert items["written by"] == "numpy 2.0\nnumpy 2.1 is installed here"
    assert items["readers"] == "1 row is held by readers"
    assert items["fields"] == f"128×128\n2 classes: cat, {HOSTILE}"
    assert [row[2] for row in titled(section, "Generations on disk").rows] == ["an older one", "listed"]
    texts = [code.text for code in blocks(section, Code)]
    assert full_report().facts.command in texts and full_report().facts.options in "\n".join(texts)
    assert titled(section, "Splits").rows[0][:3] == ["train", 100, 2]
    assert (titled(section, "Splits").rows[0][6], page.figures[3][0]) == ("8.0 MB", "16.0 MB")


# Gallery


def shown(section: Section) -> Gallery:
    [found] = blocks(section, Gallery)
    return found


def num_bytes(gallery: Gallery) -> int:
    pictures = (one.picture for source in gallery.sources for one in source.pictures)
    return sum(picture.num_bytes for picture in pictures if picture is not None)


def test_a_source_stands_before_its_variants_with_what_was_applied() -> None:
    gallery = shown(gallery_section([make_sample()], {}))
    [source] = gallery.sources
    assert [one.title for one in source.pictures] == ["source", "row 0", "row 1"]
    assert source.pictures[1].lines == ["seed 7, variant 0", "2 objects"]
    assert source.pictures[1].fired == [("OneOf › Crop", "coords (3, 40), scale 0.5")]
    assert source.pictures[2].lines == ["as the original", "2 objects", "no transform was applied"]
    assert gallery.has_overlays
    assert gallery.note == "1 source of those that were looked at."


def test_a_source_that_is_gone_says_so() -> None:
    [source] = shown(gallery_section([make_sample(is_there=False)], {})).sources
    assert source.pictures[0].picture is None
    assert source.pictures[0].lines[-1].startswith("The source is not there")


def test_a_variant_that_equals_its_original_says_so() -> None:
    sample = make_sample()
    [source] = shown(
        gallery_section([replace(sample, variants=(replace(sample.variants[0], equals_original=True),))], {})
    ).sources
    assert "equal to the original" in source.pictures[1].lines


def test_that_records_equal_the_original_is_no_news_where_nothing_is_left_to_chance() -> None:
    train, fixed = full_report().transforms
    equal = replace(full_report().variants[0], split="validation", num_equal_original=40)
    table = blocks(transforms_section([train, fixed], [full_report().variants[0], equal]), Table)[0]
    assert [row[-1] for row in table.rows] == [1, ""]
    sample = make_sample(1)
    variant = replace(sample.variants[0], equals_original=True)
    section = gallery_section([replace(sample, variants=(variant,))], {}, without_chance={"validation"})
    assert shown(section).sources[0].pictures[1].lines == ["seed 7, variant 0", "2 objects"]


def test_a_transform_that_always_draws_leaves_something_to_chance() -> None:
    train, fixed = full_report().transforms
    drawn = replace(fixed.rates[0], parameters=train.rates[1].parameters)
    always, variants = replace(fixed, rates=(drawn,)), replace(full_report().variants[0], split="validation")
    assert splits_without_chance([always], [variants]) == set()
    assert splits_without_chance([always], [replace(variants, num_equal_original=40)]) == {"validation"}
    assert splits_without_chance([fixed], [variants]) == {"validation"}
    titles = [one.title for one in blocks(transforms_section([always], [variants]), Charts)]
    assert titles == ["How often each transform was applied", "What transforms drew"]


def test_pictures_are_made_smaller_before_any_is_left_out_and_the_page_says_both() -> None:
    samples = [make_sample(number) for number in range(4)]
    whole = shown(gallery_section(samples, {}))
    smaller = shown(gallery_section(samples, {}, max_bytes=num_bytes(whole) - 1))
    assert len(smaller.sources) == 4 and num_bytes(smaller) < num_bytes(whole)
    assert "pixels wide at most" in smaller.note
    fewer = shown(gallery_section(samples, {}, max_bytes=num_bytes(smaller) // 3))
    assert 1 <= len(fewer.sources) < 4
    assert f"Pictures are {GRADES[-1].size} pixels" in fewer.note and "left out for the same reason" in fewer.note
    assert num_bytes(fewer) <= num_bytes(smaller) // 3
    assert len(shown(gallery_section(samples, {}, max_bytes=1)).sources) == 1


@pytest.mark.slow
def test_a_page_of_pictures_that_compress_badly_stays_below_15_mb() -> None:
    variant = replace(make_sample().variants[0], picture=draw_noise(384))
    sample = make_sample(picture=draw_noise(384), variants=(variant,) * 6)
    page = report_page(full_report(samples=(sample,) * 20))
    assert 3_000_000 < len(render_page(page)) < 15_000_000


# Transforms


def test_rates_that_chance_does_not_explain_stand_out(page: Page) -> None:
    section = section_of(page, "transforms")
    chart = titled(section, "How often each transform was applied, train").charts[0].svg
    assert chart.count("fill: var(--bad)") == 1
    table = blocks(section, Table)[1]
    cells = {row[0]: row[3] for row in table.rows}
    assert [name for name, cell in cells.items() if cell.share] == ["HorizontalFlip"]
    [note] = [note.text for note in blocks(section, Note) if "Never applied" in note.text]
    assert note == "Never applied in this sample: Never."
    assert [row[2] for row in table.rows] == ["50.0%", "50.0%", "1.0%", ""]


def test_a_pipeline_without_chance_is_one_sentence(page: Page) -> None:
    [text] = [note.text for note in blocks(section_of(page, "transforms"), Note) if "validation" in note.text]
    assert text.startswith("The pipeline of validation leaves nothing to chance: Resize, applied to each of 20 records")


def test_parameters_that_vary_have_a_small_chart_each(page: Page) -> None:
    [charts] = [one for one in blocks(section_of(page, "transforms"), Charts) if one.are_small]
    assert [chart.title.rpartition(" · ")[2] for chart in charts.charts] == ["angle", "kind"]
    assert charts.charts[0].note == "60 draws, -15 to 15, mean 0.25"


def test_few_different_numbers_are_bars_of_their_own_and_no_histogram() -> None:
    rates = full_report().transforms[0]
    holes = Parameter(name="num_holes", num=9, low=1, high=9, mean=3, counts=(4, 3, 2), words=("1", "2", "9"))
    section = transforms_section([replace(rates, rates=(replace(rates.rates[0], parameters=(holes,)),))], [])
    [charts] = [one for one in blocks(section, Charts) if one.are_small]
    [chart] = charts.charts
    assert chart.note == "9 draws"
    assert chart.svg == draw_bars(holes.words, {"draws": holes.counts}, label=chart.title, is_small=True)


def test_very_many_parameters_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "MAX_CHARTS", 3)
    rates = full_report().transforms[0]
    number = Parameter(name="n", num=9, low=0, high=1, mean=0.5, counts=(4, 5))
    many = replace(rates.rates[0], parameters=(number,) * 5)
    section = transforms_section([replace(rates, rates=(many,))], [])
    [charts] = [one for one in blocks(section, Charts) if one.are_small]
    assert len(charts.charts) == 3 and "2 further parameters are" in charts.note


def test_correlations_that_nothing_explains_are_red(page: Page) -> None:
    table = titled(section_of(page, "transforms"), "Transforms that are applied together, train")
    heats = {cell.text: cell for row in table.rows for cell in row if isinstance(cell, Heat)}
    assert {text: heat.is_bad for text, heat in heats.items()} == {"+0.90": True, "-0.50": False}


def test_of_many_transforms_the_largest_correlations_are_listed() -> None:
    rates = full_report().transforms[0]
    names = [f"T{number}" for number in range(20)]
    pairs = tuple(
        TransformPair(first=a, second=b, correlation=0.01 * i, bound=0.5, is_expected=False)
        for i, (a, b) in enumerate(itertools.pairwise(names))
    )
    table = titled(transforms_section([replace(rates, pairs=pairs)], []), "Transforms that are applied together")
    assert [row[0] for row in table.rows[:2]] == ["T18", "T17"]


# Effects


def test_what_changed_is_drawn_before_and_after(page: Page) -> None:
    section = section_of(page, "effects")
    first = titled(section, "Images, train")
    assert [name for name, _ in first.keys] == ["before", "after"]
    assert first.charts[0].note == "mean luma; median 1 → 0.75"
    assert titled(section, "Objects lost by class, train").rows == [
        [HOSTILE, 100, 50, Share("50.0%", 0.5, is_bad=True)]
    ]
    assert titled(section, "Objects lost by size, train").rows[0][3] == Share("1.0%", pytest.approx(0.01))
    assert "have lost all objects" in blocks(section, Note)[0].text
    filled = titled(section, "Where borders were filled, train")
    assert filled.groups[0].captions == ["strongest colour: 40.0%"]
    assert isinstance(section.blocks[-1], Folded) and section.blocks[-1].title == "The same of validation"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "No record has lost all objects of its source."),
        (1, "1 of 40 records has lost all objects of its source."),
        (3, "3 of 40 records have lost all objects of their source."),
    ],
)
def test_records_without_any_object_are_counted(number: int, text: str) -> None:
    section = effects_section([replace(full_report().effects[0], num_emptied=number)])
    assert text in [note.text for note in blocks(section, Note)]


def test_without_sources_only_records_are_drawn() -> None:
    effects = full_report().effects[0]
    images = tuple(replace(one, before=(), before_quantiles=()) for one in effects.images)
    classes = tuple(replace(one, before=None, num_before=None, num_lost=None) for one in effects.classes)
    bare = replace(effects, baseline="", images=images, classes=classes, lost=(), num_emptied=None, fill=None)
    section = effects_section([bare])
    assert "is not known" in titled(section, "Images").note
    assert all("before" not in dict(charts.keys) for charts in blocks(section, Charts))
    assert not blocks(section, Pictures)


def test_of_thousands_of_classes_the_page_holds_a_few_and_says_so() -> None:
    effects = full_report().effects[0]
    classes = tuple(replace(effects.classes[0], class_name=f"class {i}", after=i / 1e6) for i in range(3_000))
    lost = tuple(replace(effects.lost[0], group=f"class {i}") for i in range(3_000))
    section = effects_section([replace(effects, classes=classes, lost=lost)])
    assert titled(section, "Objects lost by class").note.endswith("2,800 further classes in the JSON alone.")
    page = Page(kind="Report", title="a", sections=[section])
    assert len(render_page(page)) < 300_000


def test_no_filled_border_is_a_sentence() -> None:
    effects = full_report().effects[0]
    assert effects.fill is not None
    section = effects_section([replace(effects, fill=replace(effects.fill, num_filled=0))])
    assert any(note.text.startswith("No border was filled") for note in blocks(section, Note))


# Trust


def test_what_splits_share_and_what_looks_alike_is_shown(page: Page) -> None:
    section = section_of(page, "trust")
    assert "5 sources, a few of them" in titled(section, "The same image in several splits").note
    near = titled(section, "Near duplicates")
    assert near.groups[0].captions == ["train: a (cat)", f"test: {HOSTILE} (dog)"]
    assert near.note.startswith("2 pairs across splits, 0 pairs within train. 100 sources compared, 1 not there")
    assert len(titled(section, "Further near duplicates").rows) == 1
    assert titled(section, "Left out of all rows").rows == [["cut off", 2, f"{HOSTILE}, b"]]
    assert any("9 groups of sources belong together; torn apart: patient 1." in n.text for n in blocks(section, Note))


def test_classes_are_ordered_by_size_and_missing_ones_stand_out(page: Page) -> None:
    table = titled(section_of(page, "trust"), "label: sources of each class")
    assert [row[0] for row in table.rows] == ["cat", HOSTILE]
    assert [cell.is_bad for cell in table.rows[1][1:]] == [False, True]
    assert table.rows[0][1].text == "90 · 90.0%"


def test_nothing_wrong_is_said_too() -> None:
    trust = empty_report().trust
    texts = [note.text for note in blocks(trust_section(trust), Note)]
    assert texts == ["No two splits share an image file, and no image has two answers."]
    near = full_report().trust.near
    assert near is not None
    section = trust_section(replace(trust, near=replace(near, pairs=(), across=0)))
    assert any(note.text.startswith("No near duplicates: 100 sources") for note in blocks(section, Note))


# The file


def test_a_page_is_written_into_a_new_folder(tmp_path: Path) -> None:
    path = write_page(full_report(), tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("name", ["report.pdf", "report", "folder.html"])
def test_a_file_that_is_no_page_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UsageError, match=r"output: expected a file that ends with \.html or \.htm, got "):
        write_page(empty_report(), tmp_path / name)


def test_a_missing_package_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(html.PACKAGES, "no_such_module", "NoSuchPackage")
    with pytest.raises(UsageError, match=r"pip install 'augment-once\[report\]'"):
        precompute.report(tmp_path / "no dataset", output=tmp_path / "report.html")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file.*cannot be written"):
        write_page(empty_report(), tmp_path / "file" / "report.html")
