"""A model's scores of clips, as a table of predictions."""
