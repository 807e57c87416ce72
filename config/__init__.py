"""Settings and logging: what a running copy of Örtöö is told from outside."""
