"""All compiled code, and the threads that run it."""
