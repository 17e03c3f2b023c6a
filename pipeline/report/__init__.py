"""The report: one page with every result, and an explorer of the explanations."""
