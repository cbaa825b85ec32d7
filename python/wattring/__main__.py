"""`python -m wattring` is the same as `wattring`."""

import sys

from wattring.cli import main

sys.exit(main())
