"""Screens: text, controls and objects in pictures, only where something changed."""
