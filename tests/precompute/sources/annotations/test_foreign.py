"""Annotations that are not read are recognised: an error says what they are and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from precompute.errors import SourceError
from precompute.sources.annotations.layout import foreign_text
from tests.helpers.box_datasets import draw_boxed
from tests.helpers.box_files import coco_of, sources_of, write_coco, write_yolo, xml_of
from tests.helpers.keypoint_datasets import write_coco as write_keypoints
from tests.helpers.small_datasets import draw_classes, draw_pairs

BOX = {"x": 30.5, "y": 20.0, "width": 11, "height": 8}
REGION = {"shape_attributes": {"name": "rect", **BOX}, "region_attributes": {"type": "bar"}}
SEGMENT = {"id": 8345037, "category_id": 51, "iscrowd": 0, "bbox": [0, 1, 2, 3], "area": 6}
RESULT = {"original_width": 60, "type": "rectanglelabels", "value": {**BOX, "rectanglelabels": ["bar"]}}

# File, content, what it is called, what to do.
FOREIGN: dict[str, tuple[str, Any, str, str]] = {
    "panoptic": (
        "annotations/panoptic_train2017.json",
        {
            "images": [{"id": 1, "file_name": "i000.png"}],
            "annotations": [{"segments_info": [SEGMENT], "file_name": "000000000139.png", "image_id": 139}],
            "categories": [{"supercategory": "person", "isthing": 1, "id": 1, "name": "person"}],
        },
        "COCO's panoptic segmentation",
        "instances_",
    ),
    "results": (
        "annotations/results.json",
        [{"image_id": 42, "category_id": 18, "bbox": [258.1, 41.2, 348.2, 243.7], "score": 0.236}],
        "what a detector found",
        "it has the lists images, annotations and categories",
    ),
    "keypoint results": (
        "annotations/results.json",
        [{"image_id": 42, "category_id": 1, "keypoints": [1.0, 2.0, 1.0], "score": 0.9}],
        "what a detector found",
        "it has the lists images, annotations and categories",
    ),
    "LabelMe": (
        "i000.json",
        {
            "version": "5.4.1",
            "flags": {},
            "shapes": [{"label": "bar", "points": [[1, 2], [3, 4]], "group_id": None, "shape_type": "rectangle"}],
            "imagePath": "i000.png",
            "imageData": None,
        },
        "a file of LabelMe",
        "Convert them to COCO",
    ),
    "VIA": (
        "via_region_data.json",
        {"i000.png1234": {"filename": "i000.png", "size": 1234, "regions": [REGION], "file_attributes": {}}},
        "VGG Image Annotator",
        "Export the annotations from VIA as COCO",
    ),
    "VIA project": (
        "via_project_annotations.json",
        {"_via_settings": {"ui": {}}, "_via_img_metadata": {}, "_via_attributes": {}},
        "VGG Image Annotator",
        "Export the annotations from VIA as COCO",
    ),
    "CreateML": (
        "_annotations.createml.json",
        [{"image": "i000.png", "annotations": [{"label": "bar", "coordinates": BOX}]}],
        "annotations of CreateML",
        "COCO, YOLO or Pascal VOC",
    ),
    "Label Studio": (
        "project-1-annotations.json",
        [{"id": 7, "annotations": [{"id": 3, "result": [RESULT]}], "data": {"image": "/data/upload/1/i000.png"}}],
        "an export of Label Studio",
        "COCO, YOLO or Pascal VOC",
    ),
    "Label Studio, small": (
        "export.json",
        [{"image": "/data/upload/1/i000.png", "id": 7, "label": [{**BOX, "rectanglelabels": ["bar"]}], "annotator": 1}],
        "an export of Label Studio",
        "COCO, YOLO or Pascal VOC",
    ),
    "CVAT": (
        "annotations.xml",
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta><task/></meta>\n'
        '  <image id="0" name="i000.png" width="60" height="44">\n'
        '    <box label="bar" xtl="1.0" ytl="2.0" xbr="9.0" ybr="8.0"></box>\n  </image>\n</annotations>\n',
        "annotations.xml of CVAT",
        "as COCO 1.0 or Pascal VOC 1.1",
    ),
}


def write(top: Path, name: str, content: Any) -> Path:
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("place", ["", "images", "train"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_recognised_beside_images_and_where_they_are_named(kind: str, place: str, tmp_path: Path) -> None:
    name, content, what, advice = FOREIGN[kind]
    draw_boxed(tmp_path / place, 3)
    if place == "train":
        draw_boxed(tmp_path / "val", 3)
    write(tmp_path, name, content)
    named = [{}, {"annotations": name}, {"annotations": Path(name).parent.as_posix()}]
    for given in named if "/" in name else named[:2]:
        with pytest.raises(SourceError) as caught:
            sources_of(tmp_path, **given)
        first = str(caught.value).splitlines()[0]
        assert f"{name}: this is " in first and what in first and advice in first and "is not read" in first, given
    if not name.startswith("annotations/"):  # a folder without images
        assert not sources_of(tmp_path, target="none", split_in_key=True).targets


@pytest.mark.parametrize("kind", FOREIGN)
def test_nothing_is_said_where_others_are_named(kind: str, tmp_path: Path) -> None:
    name, content, *_ = FOREIGN[kind]
    truth = draw_boxed(tmp_path / "images", 3)
    write(tmp_path, name, content)
    mine = write(tmp_path, "mine/mine.json", coco_of(tmp_path / "images", truth))
    sources = sources_of(tmp_path, annotations=str(mine))
    assert len(sources) == 3 and "is not read" not in " ".join(sources.notes)


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_read_is_read_beside_them(kind: str, tmp_path: Path) -> None:
    write_yolo(tmp_path)
    name, content, *_ = FOREIGN[kind]
    write(tmp_path, name, content)
    assert sources_of(tmp_path).kind == "boxes"


def test_classes_and_masks_are_found_beside_stray_files(tmp_path: Path) -> None:
    name, content, *_ = FOREIGN["LabelMe"]
    write(draw_classes(tmp_path / "classes"), name, content)
    assert sources_of(tmp_path / "classes").kind == "class"
    write(draw_pairs(tmp_path / "pairs"), name, content)
    assert sources_of(tmp_path / "pairs").kind == "mask"


def test_one_class_beside_them_is_told(tmp_path: Path) -> None:
    """A folder of images is taken for a class."""
    draw_boxed(tmp_path / "photos", 3)
    name, content, *_ = FOREIGN["LabelMe"]
    write(tmp_path, f"photos/{name}", content)
    sources = sources_of(tmp_path)
    assert sources.class_names == ["photos"] and "this is a file of LabelMe" in " ".join(sources.notes)


def test_a_large_panoptic_file_is_known_by_its_annotations(tmp_path: Path) -> None:
    """Its list of images comes first and is longer than what is looked at."""
    draw_boxed(tmp_path / "images", 3)
    name, content, *_ = FOREIGN["panoptic"]
    images = [{"id": i, "file_name": f"{i:012d}.jpg", "height": 427, "width": 640} for i in range(2000)]
    write(tmp_path, name, {**content, "images": images})
    with pytest.raises(SourceError, match="panoptic_train2017.json: this is COCO's panoptic segmentation"):
        sources_of(tmp_path)


def test_what_is_read_is_not_taken_for_them(tmp_path: Path) -> None:
    for i, write_read in enumerate((write_coco, write_keypoints)):
        write_read(tmp_path / str(i))
        (path,) = (tmp_path / str(i)).rglob("*.json")
        assert foreign_text(path, path.read_text()) is None
    for text in (xml_of([(1, 2, 3, 4, "bar")], None), "{}", "[]", '{"a": [1]}', "", '{"shapes": 3}'):
        assert foreign_text(Path("a"), text) is None


def test_annotations_of_cvat_beside_class_folders(tmp_path: Path) -> None:
    """They are called like annotations, so that somebody means them."""
    write(draw_classes(tmp_path), "annotations.xml", "<annotations><version>1.1</version><image id='0'/></annotations>")
    with pytest.raises(SourceError, match="annotations.xml: this is annotations.xml of CVAT"):
        sources_of(tmp_path)
    assert sources_of(tmp_path, target="none").kind == "image"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Car 0.00 0 -1.58 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59", "a label of KITTI"),
        ("684,8,273,116,0,0,0,0", "an annotation of VisDrone"),
    ],
)
def test_texts_of_other_detectors(tmp_path: Path, line: str, name: str) -> None:
    for i, image in enumerate(sorted(draw_boxed(tmp_path / "image_2", 3))):
        write(tmp_path, f"label_2/{image}.txt", f"{line}\n" * (i + 1))
    assert f"this is {name}, which is not read" in " ".join(sources_of(tmp_path).notes)
    (tmp_path / "label_2").rename(tmp_path / "annotations")
    with pytest.raises(SourceError, match=f"this is {name}, which is not read"):
        sources_of(tmp_path)
