"""The wire side's pure core: cells, rounds, agreement, the state machine."""
