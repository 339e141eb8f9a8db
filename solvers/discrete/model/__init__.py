"""The exact model of tokens: cavities and posteriors, by messages or by enumeration of every state."""
