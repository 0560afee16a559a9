"""Tables on the claims of the paper, each of which a question decides (docs/claims.md)."""
