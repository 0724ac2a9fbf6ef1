"""What the HTTP adapters share: a module for each subject."""
