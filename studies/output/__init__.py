"""What a study found, shown: tables, figures, pictures, files."""
