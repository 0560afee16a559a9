"""Instructions and multimodal prompts to tokens."""
