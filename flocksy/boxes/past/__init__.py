"""What people can have back, and decide: restoring, conflicts, dismissing."""
