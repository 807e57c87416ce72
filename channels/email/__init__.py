"""The email channel: IMAP or the mail door in, SMTP or the catcher out."""
