"""The experiments of the paper: `python -m benchmarks.paper --data <root>` performs them and writes docs/paper.md.

lines.py says what one line of an experiment is and performs it; sets.py lists the lines of every experiment; results.py
keeps what came out, one JSON for a line; tables.py and plots.py make the page from that and nothing else.
"""
