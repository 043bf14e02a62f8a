"""The sample fleet: ninety believable days, to look at the dashboard with and to test it on."""
