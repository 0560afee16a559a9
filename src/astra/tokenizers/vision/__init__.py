"""Tokenizers of camera frames and object crops."""
