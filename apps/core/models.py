"""No domain models live here."""
