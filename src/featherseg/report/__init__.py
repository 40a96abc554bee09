"""Reports for people: one self-contained HTML page, and figures as SVG."""
