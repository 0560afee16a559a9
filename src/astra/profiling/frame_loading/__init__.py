"""Loading of frames: sets made for the purpose, epochs over them, the filling of the cache, and resident memory."""
