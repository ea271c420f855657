"""Key files, key pairs and the identities that follow from them."""
