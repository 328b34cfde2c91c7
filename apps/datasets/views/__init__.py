"""The pages of datasets, one module per noun."""
