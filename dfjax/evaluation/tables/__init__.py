"""Tables of predictions, of any program, in and out: names of columns, labels, ids, scales."""
