"""The pure half of an import: bytes of a CSV file in, columns of canonical text and exact errors out. No I/O here."""
