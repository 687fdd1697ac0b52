"""Tables of any kind of columns, made ready for a network."""

from nnjit.estimators._table.encoder import ColumnReport, TableEncoder

__all__ = ["ColumnReport", "TableEncoder"]
