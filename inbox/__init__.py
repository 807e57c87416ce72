"""The product: one room per feature, each with the same four files, and the wiring that makes a server of them."""
