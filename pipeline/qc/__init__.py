"""Quality control of prepared volumes: figures, suspects, decisions and the page to look at."""
