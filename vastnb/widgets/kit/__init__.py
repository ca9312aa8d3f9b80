"""What every widget stands on: its base, its work beside the main thread, its bundle, its page."""
