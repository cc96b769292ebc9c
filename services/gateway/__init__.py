"""Brings browsers and programs in; orchestrates the experts; keeps sessions."""
