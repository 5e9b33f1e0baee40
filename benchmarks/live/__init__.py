"""A service of a benchmark's own, and what it is asked, watched and measured with."""
