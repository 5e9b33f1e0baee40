"""`posterity demo`: the whole chain on real data, over HTTP, with everything it promises checked on the way."""
