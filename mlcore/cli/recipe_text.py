"""Where `mlcore.config.text` was."""

from mlcore.config.text import commented as commented
