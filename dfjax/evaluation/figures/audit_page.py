"""Writes an audit as `audit.html`, one page that needs no other file."""

from __future__ import annotations

import base64
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from dfjax.data.index.audit import Audit, refused
from dfjax.data.index.audit.findings import SEVERITIES, Finding
from dfjax.data.index.audit.properties import PROPERTIES
from dfjax.evaluation.figures.audit_plots import FIGURES
from dfjax.files import atomic_path, write_json
from dfjax.outputs import COMMENT

SHOWN_IDS = 200
CSS = """
:root { color-scheme: light; --ink:#1d2327; --quiet:#6b7280; --line:#e5e7eb; --paper:#fff }
* { box-sizing: border-box }
body { margin:0; background:#f6f7f8; color:var(--ink);
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif }
main { max-width:960px; margin:0 auto; padding:40px 20px 80px }
h1 { font-size:28px; margin:0 } h2 { font-size:19px; margin:44px 0 12px }
.sub { color:var(--quiet); margin:4px 0 24px; overflow-wrap:anywhere }
.verdict { border-radius:10px; padding:16px 20px; font-weight:600; color:#fff }
.error.verdict { background:#b42318 } .warning.verdict { background:#b54708 }
.info.verdict { background:#067647 }
.tiles { display:flex; flex-wrap:wrap; gap:12px; margin:16px 0 0 }
.tile, .card, .panel { background:var(--paper); border:1px solid var(--line); border-radius:10px }
.tile { padding:12px 18px; min-width:120px; flex:1 }
.tile b { display:block; font-size:24px; line-height:1.2; font-variant-numeric:tabular-nums }
.tile span { color:var(--quiet); font-size:13px }
.card { padding:14px 18px; margin:10px 0; border-left:5px solid #98a2b3 }
.card.error { border-left-color:#b42318 } .card.warning { border-left-color:#dc6803 }
.card p { margin:6px 0 0; overflow-wrap:anywhere }
.pill { font-size:12px; font-weight:600; border-radius:99px; padding:2px 10px; margin-right:8px;
  background:#eaecf0 }
.error .pill { background:#fee4e2; color:#b42318 }
.warning .pill { background:#fef0c7; color:#93370d }
code { font:13px ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace }
details { margin-top:8px; color:var(--quiet); font-size:14px } details code { color:var(--ink) }
.panel { padding:12px; margin:0 } .panel img { width:100%; display:block }
.scroll { overflow-x:auto; margin-bottom:14px }
table { border-collapse:collapse; font-size:14px; width:100% }
th, td { padding:6px 12px; text-align:right; border-bottom:1px solid var(--line);
  font-variant-numeric:tabular-nums } th { color:var(--quiet); font-weight:600 }
th:first-child, td:first-child { text-align:left }
"""
VERDICTS = {
    "error": "Do not train on these data before the errors below are resolved.",
    "warning": "The data can be used; read the warnings below.",
    "info": "Nothing was found that would make results misleading.",
}


def write_page(
    audit: Audit, content: dict[str, Any], path: str | os.PathLike[str], *, name: str
) -> None:
    """Writes an audit as an HTML page.

    Args:
        audit: Result of the audit.
        content: Content of `audit.json` (`dfjax.data.index.audit.to_json`).
        path: HTML file to write.
        name: Name of the index, for the title.
    """
    accepted = content["accepted"]
    parts = [
        _head(content, name),
        _verdict(audit.findings, accepted),
        _tiles(content),
        "<h2>Findings</h2>",
        *(_card(finding, accepted) for finding in audit.findings),
        "" if audit.findings else "<p>None.</p>",
        *_figures(audit),
        "<h2>Numbers</h2>",
        _frames_table(content["frames"]),
        _properties_table(content["properties"]),
    ]
    page = (
        f"<!doctype html>{COMMENT}<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>Audit of {escape(name)}</title><style>{CSS}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>"
    )
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8", errors="replace")


def _head(content: dict[str, Any], name: str) -> str:
    return (
        f"<h1>Data audit</h1><p class=sub>{escape(name)} · {content['generated']} · "
        f"dfjax {escape(content['version'])} · "
        f"index <code>{content['index_sha256'][:12]}</code></p>"
    )


def _verdict(findings: Sequence[Finding], accepted: Sequence[str]) -> str:
    counts = Counter(finding["severity"] for finding in findings)
    worst = "error" if refused(findings, accepted) else "warning"
    if worst == "warning" and not (counts["warning"] or counts["error"]):
        worst = "info"
    numbers = ", ".join(f"{counts[s]} {s}{'s' * (counts[s] != 1)}" for s in SEVERITIES[:2])
    note = f" Accepted: {escape(', '.join(accepted))}." if accepted else ""
    return f'<div class="verdict {worst}">{numbers}. {VERDICTS[worst]}{note}</div>'


def _tiles(content: dict[str, Any]) -> str:
    frames, auc = content["frames"], content["shortcut_probe"]["auc"]
    tiles = [
        (f"{content['n']['videos']:,}", "videos"),
        (f"{content['n']['real']:,}", "real"),
        (f"{content['n']['fake']:,}", "fake"),
        (f"{frames['ratio']:.1f}×" if frames["ratio"] else "–", "ratio of mean lengths"),
        (f"{auc:.2f}" if auc is not None else "–", "AUC of the shortcut probe"),
    ]
    inner = "".join(
        f"<div class=tile><b>{value}</b><span>{what}</span></div>" for value, what in tiles
    )
    return f"<div class=tiles>{inner}</div>"


def _card(finding: Finding, accepted: Sequence[str]) -> str:
    ids, more = finding["ids"][:SHOWN_IDS], len(finding["ids"]) - SHOWN_IDS
    listed = ""
    if ids:
        tail = f" … and {more} more in audit.json" if more > 0 else ""
        names = ", ".join(f"<code>{escape(name)}</code>" for name in ids)
        listed = f"<details><summary>{len(finding['ids'])} videos</summary>{names}{tail}</details>"
    note = " · accepted" if finding["code"] in accepted else ""
    return (
        f'<div class="card {finding["severity"]}"><span class=pill>{finding["severity"]}{note}'
        f"</span><code>{finding['code']}</code><p>{escape(finding['message'])}</p>{listed}</div>"
    )


def _figures(audit: Audit) -> list[str]:
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (title, plot) in FIGURES.items():
            file = Path(folder, f"{name}.png")
            if plot(audit, file):
                data = base64.b64encode(file.read_bytes()).decode()
                parts.append(
                    f'<h2 id="{name}">{title}</h2><figure class=panel>'
                    f'<img alt="{title}" src="data:image/png;base64,{data}"></figure>'
                )
    return parts


def _frames_table(frames: dict[str, Any]) -> str:
    rows = [
        (f"{name} frames", frames[name]["n"], _number(frames[name]["mean"]),
         _number(frames[name]["sd"]))
        for name in ("real", "fake")
    ]  # fmt: skip
    return _table(("per class", "n", "mean", "sd"), rows)


def _properties_table(properties: Sequence[dict[str, Any]]) -> str:
    rows = [
        (PROPERTIES[p["property"]].title, p["split"], p["class"], p["n"], _number(p["mean"]),
         _number(p["sd"]))
        for p in properties
    ]  # fmt: skip
    return _table(("property", "split", "class", "n", "mean", "sd"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in row)}</tr>" for row in rows
    )
    return f'<div class="panel scroll"><table><tr>{cells}</tr>{body}</table></div>'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def write_reports(result: Audit, content: dict[str, Any], out: Path, *, name: str) -> None:
    """Writes `audit.html` and then `audit.json` to `out`, so that the latter implies the former.

    Args:
        result: Result of the audit.
        content: JSON form of `result`.
        out: Folder of the files.
        name: Name of the data, for the title.
    """
    write_page(result, content, out / "audit.html", name=name)
    write_json(out / "audit.json", content, indent=1)
