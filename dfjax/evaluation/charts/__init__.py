"""Charts as SVG and pages as HTML that need no other file; notebooks and reports share them."""
