"""Addresses of servers in messages."""

import re

# Up to the last @ before white space:
ADDRESS = re.compile(r"([A-Za-z][\w+.-]*://)((?:(?!://)\S)*)@")
HOST = re.compile(r"(\[[^]@]*\]|[^:@]*)(:\d*)?")


def hide_password(text: str) -> str:
    """Returns a text with addresses in which there is no user name and no password.

    A password may contain @, and that of a database also /. An @ after the host is kept, unless the
    address has a password too.
    """

    def hide(found: re.Match[str]) -> str:
        scheme, before = found.groups()
        host, *path = re.split("[/?#]", before, maxsplit=1)
        known = HOST.fullmatch(host)
        is_host = known and (not known[2] or scheme.lower() in ("http://", "https://"))
        return found[0] if path and is_host else scheme

    return ADDRESS.sub(hide, text)
