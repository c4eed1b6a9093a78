"""Tables and figures, from files alone. Imports no torch."""
