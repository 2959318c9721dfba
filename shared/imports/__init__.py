"""Importing CSV files of any size: an upload, a job that any worker may run, an error file.

routes      the HTTP side: upload, cancel, error file; jobs are read as a resource like every other
worker      finds jobs and runs them; `job` is one run: read, convert, stage, merge
target      what a feature declares to be importable; `merge` is the SQL that follows from it
reading     pure: bytes to records to canonical values
"""
