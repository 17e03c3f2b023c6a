"""Chest film preprocessing."""
