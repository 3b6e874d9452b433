"""`python -m tlclass COMMAND` is `tlclass COMMAND`."""

from tlclass.cli import main

if __name__ == "__main__":
    main()
