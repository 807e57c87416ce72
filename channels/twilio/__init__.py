"""What all channels through Twilio share: the webhook's signature, the HTTP client and the words for its errors."""
