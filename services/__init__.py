"""The processes: one package each, and the runtime that they share."""
