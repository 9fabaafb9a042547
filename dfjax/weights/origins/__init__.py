"""Names and conventions of other programs, one module for each."""
