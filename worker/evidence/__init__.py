"""Evidence: the pictures behind incidents, sealed to the public keys of those who may see them."""
