"""The language the services speak: settings, facts, orders and output."""
