"""Importers: one file per foreign format; each yields episodes."""
