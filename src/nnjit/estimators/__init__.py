"""scikit-learn estimators: validation, labels, attributes."""
