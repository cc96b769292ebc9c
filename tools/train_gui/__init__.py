"""Trains the detector of GUI elements on pages and windows drawn here: no picture of anybody's screen.

`python -m tools.train_gui fetch | render | train | measure | export` (docs/gui.md has the commands that made the
weights in this repository). A page is made from a seed (page.py), drawn by Chromium, and the boxes come from the
browser's own layout (truth.js). torch and playwright are asked for only here, never by the services.
"""
