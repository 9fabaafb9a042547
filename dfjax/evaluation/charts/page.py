"""A page of HTML that needs no other file: its styles, its navigation and its sections."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from dfjax.evaluation.charts.markup import Html, join, tag, to_html
from dfjax.files import atomic_path
from dfjax.outputs import COMMENT

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
"""Content security policy of every page: nothing is fetched and no script runs."""

LIGHT = """--paper:#fff;--back:#f5f6f8;--ink:#1b2026;--quiet:#5b6470;--line:#dfe3e8;--grid:#e8ebef;
--real:#0072b2;--fake:#d55e00;--c1:#0072b2;--c2:#d55e00;--c3:#007a5a;--c4:#b4508a;--c5:#8a6d00;
--c6:#3d4a5c;--error:#b42318;--warning:#96500a;--good:#0b6b48;--focus:#0b62d6"""
DARK = """--paper:#1b1f24;--back:#12151a;--ink:#e8eaed;--quiet:#a3acb8;--line:#343b45;
--grid:#2b313a;--real:#5ab4f0;--fake:#ff9248;--c1:#5ab4f0;--c2:#ff9248;--c3:#3ecf9f;--c4:#ee8fc6;
--c5:#e6c542;--c6:#b9c4d2;--error:#ff8a80;--warning:#ffb865;--good:#5fd6a6;--focus:#8ab8ff"""

CSS = (
    f":root{{color-scheme:light dark;{LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{DARK}}}}}"
    """
*{box-sizing:border-box}
html{scroll-padding-top:56px;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--back);color:var(--ink);overflow-wrap:anywhere;
 font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main,header>div,nav>ul{max-width:1120px;margin:0 auto;padding:0 20px}
main{padding-bottom:72px}
header{padding:36px 0 18px}
h1{font-size:clamp(24px,4vw,34px);line-height:1.2;margin:0;letter-spacing:-.01em}
h2{font-size:22px;margin:44px 0 6px;letter-spacing:-.01em} h3{font-size:17px;margin:26px 0 8px}
p{margin:6px 0 12px} .lead,.quiet,small,figcaption small{color:var(--quiet)} .lead{margin:6px 0 0}
nav{position:sticky;top:0;z-index:2;background:var(--back);border-bottom:1px solid var(--line)}
nav ul{display:flex;gap:18px;list-style:none;overflow-x:auto;padding-top:9px;padding-bottom:9px;
 white-space:nowrap;font-size:14px} nav a{color:var(--quiet);text-decoration:none}
a{color:var(--focus)} a:hover{text-decoration:underline}
:focus-visible{outline:2px solid var(--focus);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:-999px} .skip:focus{left:8px;top:8px;background:var(--paper);z-index:3}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:14px 0}
.tile,figure,details,.note,.card,dl{background:var(--paper);border:1px solid var(--line);
 border-radius:10px}
.tile{padding:12px 16px} .tile span,.tile small{display:block;font-size:13px;color:var(--quiet)}
.tile b{display:block;font-size:27px;line-height:1.25;font-variant-numeric:tabular-nums}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:14px;
 margin:12px 0}
figure{margin:0;padding:14px 16px 12px;min-width:0} figure.wide{grid-column:1/-1;margin:12px 0}
figcaption{font-weight:600;font-size:15px;margin-bottom:8px}
figcaption small{font-weight:400;display:block}
svg{display:block;width:100%;height:auto;max-width:100%} svg text{font-family:inherit}
.diagram{overflow-x:auto;background:#fff;border-radius:6px} .diagram svg{min-width:720px}
.scroll{overflow-x:auto;background:var(--paper);border:1px solid var(--line);border-radius:10px;
 margin:12px 0}
details .scroll,figure .scroll{border:0;margin:6px 0}
figure td,figure th{padding-left:8px;padding-right:8px} figure tbody th{min-width:0;
 overflow-wrap:normal}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:10px 12px 2px;color:var(--quiet)}
th,td{padding:6px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-weight:600} thead th{color:var(--quiet)} tr:last-child>*{border-bottom:0}
th:first-child,td:first-child{text-align:left} tbody th{min-width:96px;
 max-width:340px;white-space:normal;position:sticky;left:0;background:var(--paper)}
details{padding:0 16px;margin:12px 0} summary{cursor:pointer;padding:11px 0;font-weight:600}
details[open]{padding-bottom:12px}
.note{padding:10px 14px;margin:10px 0;border-left:5px solid var(--quiet)}
.note.error{border-left-color:var(--error)} .note.warning{border-left-color:var(--warning)}
.note.good{border-left-color:var(--good)} .pill{font-size:12px;font-weight:600;margin-right:8px;
 color:var(--quiet);text-transform:uppercase;letter-spacing:.04em}
.error>.pill{color:var(--error)} .warning>.pill{color:var(--warning)} .good>.pill{color:var(--good)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));margin:12px 0;
 padding:10px 16px;gap:6px 24px} dt{font-size:13px;color:var(--quiet)} dd{margin:0}
pre{overflow-x:auto;margin:0}
code{font:13px ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace}
.clips{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,250px),1fr));gap:12px;
 margin:12px 0} .card{padding:10px 12px;font-size:13px;border-left:5px solid var(--quiet)}
.card.fake{border-left-color:var(--fake)} .card.real{border-left-color:var(--real)}
.card b{font-size:15px} .card p{margin:2px 0} .strip{display:flex;gap:3px;margin:6px 0}
.strip img{flex:1 1 0;min-width:0;width:100%;border-radius:4px;display:block}
.faces .strip{flex-wrap:wrap} .faces .strip img{flex:0 0 clamp(84px,11.8%,150px)}
img{max-width:100%;height:auto}
.verdict{font-size:clamp(26px,5vw,40px);font-weight:700;letter-spacing:-.02em;margin:0}
.verdict.fake{color:var(--fake)} .verdict.real{color:var(--real)}
footer{color:var(--quiet);font-size:13px;margin-top:44px}
@media (max-width:600px){main,header>div,nav>ul{padding-left:14px;padding-right:14px}
 header{padding-top:22px} th,td{padding:6px 9px} .tile b{font-size:23px}
 .diagram svg{min-width:1040px}}
@media (min-width:760px){figure.double{grid-column:span 2}}
@media print{nav{display:none} body{background:#fff} figure,.tile,.note{break-inside:avoid}}
"""
)


class Section(NamedTuple):
    """A section of a page.

    Attributes:
        name: Identifier, unique in the page; the navigation links to it.
        title: Heading.
        content: Parts of the section.
        intro: Sentence below the heading.
    """

    name: str
    title: str
    content: Sequence[Any]
    intro: Any = ""


def make_page(title: str, lead: Any, sections: Sequence[Section], *, foot: Any = "") -> str:
    """Returns a whole page.

    Args:
        title: Title, also that of the window.
        lead: Line below the title.
        sections: Sections in their order; those without content are left out.
        foot: Last line.
    """
    shown = [section for section in sections if any(section.content)]
    links = join(tag("li", tag("a", s.title, href=f"#{s.name}")) for s in shown)
    parts = [
        tag(
            "section",
            tag("h2", s.title, id=f"{s.name}-title"),
            tag("p", s.intro, class_="quiet") if s.intro else "",
            *s.content,
            id=s.name,
            aria_labelledby=f"{s.name}-title",
        )
        for s in shown
    ]
    body = to_html(
        tag("a", "Skip to the content", href="#main", class_="skip"),
        tag("header", tag("div", tag("h1", title), tag("p", lead, class_="lead"))),
        tag("nav", tag("ul", links), aria_label="Sections"),
        tag("main", *parts, tag("footer", foot), id="main"),
    )
    return (
        f"<!doctype html>{COMMENT}<html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f'<link rel=icon href="data:,"><title>{to_html(title)}</title><style>{Html(CSS)}</style>'
        f"</head><body>{body}</body></html>\n"
    )


def write_page(path: str | os.PathLike[str], page: str) -> None:
    """Writes a page atomically; characters that are no valid text are replaced."""
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8", errors="replace")
