"""Unit tests of what knows Waldur."""
