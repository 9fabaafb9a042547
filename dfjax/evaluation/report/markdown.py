"""Tables as Markdown."""

import pandas as pd


def format_markdown(table: pd.DataFrame) -> str:
    """Returns a table as Markdown, with four decimal places and a dash for missing numbers."""
    rows = [list(map(str, table)), ["---"] * len(table.columns)]
    for row in table.itertuples(index=False):
        rows.append([_format(value) for value in row])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _format(value: object) -> str:
    if value is None or value != value:  # NaN
        return "–"
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")
