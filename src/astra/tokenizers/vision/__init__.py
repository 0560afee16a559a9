"""Camera frames and object crops to tokens."""
