import pytest

from dfjax.errors import UsageError
from dfjax.ops.padding import pad_amounts, padded_size, same_padding


def test_same_padding_by_hand():
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(7, 3, 2) == (1, 1)
    assert same_padding(7, 5, 2) == (2, 2)
    assert same_padding(5, 3, 1) == (1, 1)


def test_static_padding_depends_on_the_native_map_only():
    # B0 fed 112 px: the depthwise layer (5 x 5, stride 2) of block 11 sees 7 cells, natively 14
    assert pad_amounts("static", (7, 7), 5, 2, native=14) == ((1, 2), (1, 2))
    assert pad_amounts("same", (7, 7), 5, 2, native=14) == ((2, 2), (2, 2))
    assert padded_size(7, 5, 2, (1, 2)) == 3
    assert padded_size(7, 5, 2, (2, 2)) == 4


def test_symmetric_is_half_the_kernel():
    assert pad_amounts("symmetric", (8, 9), 5, 2, native=0) == ((2, 2), (2, 2))


def test_unknown_flavour_lists_the_valid_ones():
    with pytest.raises(UsageError, match="symmetric"):
        pad_amounts("sym", (8, 8), 3, 1, native=8)
