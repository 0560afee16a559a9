"""Tokenizers of instructions and multimodal prompts."""
