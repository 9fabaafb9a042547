"""Words that tables of predictions have for the labels."""

from dfjax import FAKE, REAL

REAL_WORDS = "0 0.0 false real original genuine authentic pristine bonafide bona-fide".split()
FAKE_WORDS = "1 1.0 true fake deepfake manipulated synthetic forged spoof".split()
LABEL_WORDS = {**dict.fromkeys(REAL_WORDS, REAL), **dict.fromkeys(FAKE_WORDS, FAKE)}


def find_label(value: object) -> int | None:
    """Returns the label that a value of a table means, in any spelling, or None."""
    return LABEL_WORDS.get(str(value).strip().lower())
