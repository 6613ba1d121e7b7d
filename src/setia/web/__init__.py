"""Shared HTTP: errors, languages, paging, the page shell and its components. It knows no loyalty."""
