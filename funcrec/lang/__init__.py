"""The words both streets speak: name patterns, expressions, Go types."""
