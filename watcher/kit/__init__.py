"""Small tools that know nothing of deploys."""
