"""Fitted networks as one file of C."""

from nnjit.interop.c.export import export_c

__all__ = ["export_c"]
