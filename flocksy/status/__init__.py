"""What a person sees: one frozen status value, and the socket over which it is asked for."""
