"""Makes the topics, subscriptions and notifications that the cloud needs."""
