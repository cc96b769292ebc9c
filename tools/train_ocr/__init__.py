"""Trains PP-OCR's live recogniser further: on lines of screens, for eight bits (docs/ocr.md)."""
