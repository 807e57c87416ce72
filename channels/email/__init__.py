"""Email: parsing, composing, IMAP and the mail door in, SMTP out."""
