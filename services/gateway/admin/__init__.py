"""What the gateway answers itself: its health, and where the documentation is."""
