"""`python -m classpulse.cli`."""

from classpulse.cli import main

main()
