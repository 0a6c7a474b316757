"""Readers of other tools' labelled files, one module a format; each yields records and problems, and drops nothing."""
