"""The page of a detector in Chromium gives the scores of `dfjax predict`, and asks for nothing."""

import base64
import csv
import io
import json

import av
import cv2
import numpy as np
import pytest
from chromium import open_tab
from stored_networks import make_saved

import dfjax
from dfjax.data.faces.crop_codec import decode_crop, encode_crop
from dfjax.data.faces.recipe import CropRecipe
from dfjax.data.faces.settings import choose_frames
from dfjax.data.faces.video import read_frames
from dfjax.exporting.html_file import WORKER, _join_scripts
from dfjax.inference.export import describe_saved
from dfjax.weights.safetensors_file import save_safetensors

pytestmark = [pytest.mark.browser, pytest.mark.npm, pytest.mark.export]

SIDE = 64
CELLS = "rows.map((row) => COLUMNS.map((name) => String(row[name] ?? '')))"
"""The values of all rows of a page as texts."""


def write_detector(folder, **recipe):
    """Writes a detector with random parameters as a file, whose crop recipe is given."""
    saved = make_saved("meso4:smoke")
    config = saved.config.copy_and_resolve_references().unlock()
    config.data.crop_size, config.data.eval_clips = SIDE, 3
    config.crops.update(vars(CropRecipe(size=SIDE, **recipe)))
    saved = saved._replace(config=config.lock())
    save_safetensors(folder / "d.safetensors", saved.variables, metadata=describe_saved(saved))
    return folder / "d.safetensors"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with open_tab(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def score(tab, page, files):
    """Returns the rows that the page shows for files, by name."""
    before = len(tab.requests)
    tab.open(page)
    tab.choose("#files", files)
    tab.wait(f"rows.length == {len(files)}")
    asked = tab.requests[before:]
    assert asked[0] == page.as_uri() and all(url.startswith("blob:null/") for url in asked[1:])
    assert tab.messages == []
    header, *found = csv.reader(io.StringIO(tab.run("makeCsv(rows)")))
    assert header == tab.run("COLUMNS") and found == tab.run(CELLS)
    return {row[header.index("input")]: dict(zip(header, row)) for row in found}


def compare(rows, detector, files, tolerance, **options):
    for verdict, file in zip(dfjax.predict(detector, files, workers=1, **options), files):
        assert verdict.error is None
        assert rows[file.name]["error"] == ""
        assert abs(float(rows[file.name]["fake_prob"]) - verdict.fake_prob) < tolerance
        assert rows[file.name]["verdict"] == verdict.verdict


def write_crops(folder):
    """Writes ten pictures of several shapes, one of which is a crop already."""
    rng = np.random.default_rng(0)
    shapes = [(SIDE, SIDE), (64, 80), (150, 100), (40, 50), (128, 128), (97, 131)] * 2
    for number, (height, width) in enumerate(shapes[:10]):
        small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        file = folder / f"{number}.{'jpg' if number % 2 else 'png'}"
        cv2.imwrite(str(file), picture)
        yield file


@pytest.fixture(scope="module")
def page_of_crops(tmp_path_factory):
    """A detector of face crops, and its page."""
    folder = tmp_path_factory.mktemp("crops")
    detector = write_detector(folder, detector="none", frames=1)
    dfjax.export(detector, "html", out=folder / "page.html")
    return detector, folder / "page.html"


def test_pictures_have_the_scores_of_predict(tab, page_of_crops, tmp_path):
    detector, page = page_of_crops
    files = list(write_crops(tmp_path))
    compare(score(tab, page, files), detector, files, 1e-3)


@pytest.mark.samples
def test_sample_crops_have_the_scores_of_predict(tab, page_of_crops, samples):
    detector, page = page_of_crops
    files = sorted((samples / "dfdc_faces" / "faces").glob("*.jpg"))[:10]
    compare(score(tab, page, files), detector, files, 1e-3)


def write_video(path, matrix):
    """Writes a video with subsampled colours, whose matrix is named or not."""
    with av.open(str(path), "w") as container:
        options = {"x264-params": f"colormatrix={matrix}"} if matrix else {}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        rng = np.random.default_rng(0)
        for _ in range(6):
            small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            picture = cv2.resize(small, (64, 48), interpolation=cv2.INTER_CUBIC)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


READ_FRAMES = """
async function readFrames(numbers) {
  const found = [], source = await openFile(document.querySelector("#f").files[0]);
  await source.visit(numbers, async ({ data }, place) => {
    const reader = new FileReader();
    reader.readAsDataURL(new Blob([data]));
    await new Promise((resolve) => { reader.onload = resolve; });
    found[place] = reader.result.split(",")[1];
  });
  return found;
}
"""


def compare_frames(tab, page, video, numbers):
    """Checks that the page decodes frames of a video to the pixels of Python."""
    script = _join_scripts(WORKER[:-2]) + READ_FRAMES
    page.write_text(f"<input type=file id=f><script>{script}</script>")
    tab.open(page)
    tab.choose("#f", [video])
    found = tab.run(f"readFrames({json.dumps(numbers)})")
    for text, frame in zip(found, read_frames(video, numbers), strict=True):
        pixels = np.frombuffer(base64.b64decode(text), np.uint8).reshape(frame.shape)
        np.testing.assert_array_equal(pixels, frame)


@pytest.mark.parametrize("matrix", ["", "bt709", "smpte170m"])
def test_frames_have_the_colours_of_python(tab, tmp_path, matrix):
    write_video(tmp_path / "v.mp4", matrix)
    compare_frames(tab, tmp_path / "p.html", tmp_path / "v.mp4", [0, 3, 5])


@pytest.mark.samples
def test_frames_after_later_key_frames_are_those_of_python(tab, samples, tmp_path):
    """Old x264 wrote the profile High 4:4:4 so that its version has to be known."""
    folder = samples / "ffpp" / "manipulated_sequences" / "Deepfakes" / "c23" / "videos"
    compare_frames(tab, tmp_path / "p.html", folder / "519_515.mp4", [0, 251, 371])


@pytest.mark.samples
@pytest.mark.weights
def test_videos_have_the_scores_of_predict(tab, samples, weights, tmp_path):
    """Faces are found by the same network, but by another program: boxes differ by a rounding."""
    detector = write_detector(tmp_path, detector="yunet", frames=6)
    model = weights / "face_detection_yunet_2023mar.onnx"
    dfjax.export(detector, "html", out=tmp_path / "page.html", face_model=model)
    videos = samples / "ffpp" / "original_sequences" / "youtube" / "c23" / "videos"
    files = sorted(videos.glob("*.mp4"))[:2]
    compare(score(tab, tmp_path / "page.html", files), detector, files, 1e-3, face_model=model)


def test_files_that_cannot_be_read_are_said(tab, page_of_crops, tmp_path):
    for name, data in (
        ("empty.mp4", b""),
        ("text.jpg", b"hello"),
        ("cut.jpg", b"\xff\xd8\xff\xe0"),
    ):
        (tmp_path / name).write_bytes(data)
    rows = score(tab, page_of_crops[1], sorted(tmp_path.iterdir()))
    assert "empty file" in rows["empty.mp4"]["error"]
    assert "not an image, or damaged" in rows["cut.jpg"]["error"]
    assert "cannot read it" in rows["text.jpg"]["error"]


def test_the_keyboard_is_enough(tab, page_of_crops):
    tab.open(page_of_crops[1])
    tab.call("Page.setInterceptFileChooserDialog", enabled=True)
    for _ in range(2):  # the link that skips to the content, and the button
        tab.press("Tab", 9)
    assert tab.run("document.activeElement.id") == "choose"
    tab.press("Enter", 13, "\r")
    tab.await_chooser()
    assert tab.chosen == 1
    tab.call("Page.setInterceptFileChooserDialog", enabled=False)


def test_a_phone_needs_no_scrolling_sideways(tab, page_of_crops, tmp_path):
    tab.open(page_of_crops[1])
    tab.look(tmp_path / "phone.png", width=390, height=844, phone=True)
    assert tab.run("document.documentElement.scrollWidth") <= 390


def test_compression_and_sampling_equal_those_of_python(tab, page_of_crops):
    tab.open(page_of_crops[1])
    tab.run(f"{_join_scripts(WORKER[1:5])}; true")  # the page itself has the first one
    crop = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    picture = {"width": 50, "height": 50, "data": crop.reshape(-1).tolist()}
    found = tab.run(f"[...compressAsJpeg({json.dumps(picture)}, 95).data]")
    np.testing.assert_array_equal(found, decode_crop(encode_crop(crop, 95)).reshape(-1))
    assert choose_frames(309, frames=32, every=None) == tab.run(
        "chooseSearched(309, {frames: 32, every: null})"
    )
