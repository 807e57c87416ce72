"""Telegram through a bot: private chats, groups, forum topics and business accounts."""
