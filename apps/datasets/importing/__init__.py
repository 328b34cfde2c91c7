"""From an uploaded zip to rows: read safely, planned whole, then brought in by chunks."""
