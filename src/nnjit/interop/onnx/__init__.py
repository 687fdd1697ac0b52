"""Fitted estimators as ONNX models."""

from nnjit.interop.onnx.columns import feeds
from nnjit.interop.onnx.converters import register
from nnjit.interop.onnx.export import to_onnx

__all__ = ["feeds", "register", "to_onnx"]
