"""Parts of reproduce.py: arms of papers and their files, the work, the page, the figures."""
