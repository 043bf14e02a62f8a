"""Real servers under the control of a test, and ways to wait and to listen."""
