"""Real uses, each a folder with a page and a program."""
