"""`python -m dfjax` is `dfjax`."""

import sys

from dfjax.commands.main import main

sys.exit(main())
