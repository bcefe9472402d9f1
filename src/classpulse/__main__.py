"""`python -m classpulse`: the command `classpulse`."""

from classpulse.cli import main

if __name__ == "__main__":
    main()
