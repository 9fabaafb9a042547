"""A detector, its training and its evaluations as one page of HTML."""
