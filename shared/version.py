"""The suite's version; one for all its parts."""

VERSION = "0.1.0"
