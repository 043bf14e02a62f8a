"""What a policy keeps: pure deciders, for whoever expires backups and whoever shows it before."""
