"""Push-T."""
