"""What boxes and lanes say to each other: bursts, heartbeats, repair, and who is there."""
