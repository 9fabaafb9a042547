"""Runs the command line: `python -m dfjax`."""

import sys

from dfjax.commands.main import main

sys.exit(main())
