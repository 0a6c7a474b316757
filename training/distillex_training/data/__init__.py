"""Labelled and raw text."""
