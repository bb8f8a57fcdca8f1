"""The console: a web application over what the use cases give."""
