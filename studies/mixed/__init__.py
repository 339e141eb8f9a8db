"""The mixed study: tokens beside numbers, and tokens as numbers, against exact laws."""
