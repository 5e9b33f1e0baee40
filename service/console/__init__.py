"""The console: pages that a browser runs. All they do they do by calling the API; here they are only handed out."""
