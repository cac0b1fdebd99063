"""`python -m haar`."""

from haar.cli import main

if __name__ == "__main__":
    main()
