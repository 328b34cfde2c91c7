"""Public datasets in their own layouts, read as tables of `mlcore.table`. No torch, and nothing is copied.

converted = convert("sop", Path("Stanford_Online_Products"))
converted.table  # cells as `read_table` gives them; paths relative to the folder
"""

from mlcore.layouts.base import Converted, Counts, Layout, Listed, Options, Sample
from mlcore.layouts.build import LAYOUTS, convert

__all__ = ["LAYOUTS", "Converted", "Counts", "Layout", "Listed", "Options", "Sample", "convert"]
