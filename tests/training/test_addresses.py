import pytest

from dfjax.training.addresses import hide_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:secret@host:5000/a", "http://host:5000/a"),
        ("http://user:se@cret@host/a", "http://host/a"),
        ("http://user:se/cr@et@host/a", "http://host/a"),
        ("postgresql+psycopg2://user:1/2@host/runs", "postgresql+psycopg2://host/runs"),
        ("https://token@host", "https://host"),
        ("https://user:secret@[::1]:5000/", "https://[::1]:5000/"),
        ("no http://host/a@b, but http://c:d@host/e!", "no http://host/a@b, but http://host/e!"),
        ("http://host/a,http://c:d@host", "http://host/a,http://host"),
        ("https://host:5000/a@b/c@d", "https://host:5000/a@b/c@d"),
        ("http://[::1]:5000/a@b", "http://[::1]:5000/a@b"),
        ("https://host?user=a@b", "https://host?user=a@b"),
        ("sqlite:////home/a@b/runs.db", "sqlite:////home/a@b/runs.db"),
        ("http://host asks me@host", "http://host asks me@host"),
    ],
)
def test_addresses_have_no_passwords(text, shown):
    assert hide_password(text) == shown
