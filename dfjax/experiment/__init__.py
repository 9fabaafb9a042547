"""A config becomes a run: build the parts, open the data, check, start, train."""
