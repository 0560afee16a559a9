"""How the frames of CALVIN are drawn."""
