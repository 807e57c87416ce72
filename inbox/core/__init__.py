"""What every room stands on: database, files, events, errors, ids, secrets, time. Imports no room."""
