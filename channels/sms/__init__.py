"""SMS, MMS and WhatsApp through Twilio's Messaging API."""
