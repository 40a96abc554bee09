"""The result tables of the papers: as published, and made again."""
