"""Numeric columns embedded by cosines of learned frequencies."""
