"""Keys: sealing secrets in the log, and secrets of orders to the worker that gets them."""
