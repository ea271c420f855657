"""The disk side of a box. The modules here are one open box and the keeper of all; below them lie
`disk`, `scan`, `apply` and `content`, above them `lanes` and `past`."""
