"""Instances: rented once or not at all, watched gently, connected to in one line."""
