"""The revisions, one a released schema, in the order of their numbers.

A revision adds: tables, columns with a default, indices. That needs no copy of the store: it is one transaction, and what fails
leaves the old schema. A revision that must rebuild a table (SQLite cannot change or drop every column in place) first copies the
store with ``gpuwatch.store.backup`` beside it as ``NAME.schema-N.backup`` and keeps that for seven days, since a mistake in the
copying of rows would otherwise be noticed too late. Views are no part of a revision: they are dropped before it and made anew after.
"""
