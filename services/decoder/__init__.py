"""The decoder: one timeline and one live context per session, and answers with their evidence."""
